"""``docs/methods.md``: what every method and strategy declares of itself, for study authors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from jadapt.analysis.labels import FAMILIES, declared
from jadapt.config import composition
from jadapt.core.declarations import FAST, METHODS, STRATEGIES, Declared, example_of, schema_of

_HEAD = """\
# Methods and strategies

Written by `make method-docs` from the classes in `scripts/jadapt/methods/`; a test keeps it
current. A run is an entry of `methods` in a study: one method, with any number of strategies that
go with it.
"""
_BOUNDS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "minItems": "at least {}",
}  # fmt: skip
_KINDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


def page() -> str:
    """Return the page."""
    methods = [cls for key, cls in declared().items() if key in METHODS]
    strategies = [cls for key, cls in declared().items() if key in STRATEGIES]
    parts = [_HEAD, "## Methods: which parameters train\n", *map(_method, methods)]
    parts += ["## Strategies against forgetting\n", *map(_strategy, strategies)]
    return "\n".join(parts)


def _method(cls: type[Any]) -> str:
    goes = [f"`{key}`" for key in composition.strategies_of(cls.key)]
    lines = _common(cls) | {"Composes with": ", ".join(goes) or "no strategy"}
    if cls.needs_task_id:
        lines["Needs the task's name"] = "yes: a study needs `evaluation.task_ids: true`"
    if not cls.static_graph:
        lines["Changes while it trains"] = "yes: its steps are not recorded (`fast.cuda_graphs`)"
    return _section(cls, lines, {"method": cls.key, "learning_rate": 0.001, **example_of(cls)})


def _strategy(cls: type[Any]) -> str:
    goes = [f"`{key}`" for key in composition.methods_of(cls.key)]
    lines = {
        "Changes": " and ".join(f"the {what}" for what in sorted(cls.changes)),
        **_common(cls),
        "Composes with": ", ".join(goes),
        "Stores": cls.stores,
        "Processes in each step": cls.processes,
    }
    entry = {"method": "sft", "learning_rate": 0.001, "continual": {cls.key: example_of(cls)}}
    return _section(cls, lines, entry)


def _common(cls: type[Declared]) -> dict[str, str]:
    lines = {"Family": FAMILIES[cls.family].lower()}
    if cls.citation:
        lines["Introduced by"] = f"`{cls.citation}` in `paper/references.bib`"
    lines["Several devices"] = ", ".join(f"`{kind}`" for kind in sorted(cls.parallelism))
    if missing := sorted(FAST - cls.fast):
        lines["Not with"] = ", ".join(f"`training.fast.{key}`" for key in missing)
    return lines


def _section(cls: type[Declared], lines: dict[str, str], entry: dict[str, Any]) -> str:
    text = yaml.safe_dump({cls.key: entry}, sort_keys=False, default_flow_style=None, width=96)
    return "\n".join(
        [
            f"### {cls.label} (`{cls.key}`)\n",
            f"{cls.summary}\n",
            *(f"- {name}: {value}" for name, value in lines.items()),
            *_table(cls),
            f"\n```yaml\n{text}```\n",
        ]
    )


def _table(cls: type[Declared]) -> Iterator[str]:
    schema = schema_of(cls.Hyperparameters)
    if not schema["properties"]:
        return
    yield "\n| key | values | meaning |"
    yield "| --- | --- | --- |"
    for name, entry in schema["properties"].items():
        values = _values(entry)
        if name not in schema["required"]:
            values += f"; default {_plain(entry.get('default'))}"
        yield f"| `{name}` | {values} | {entry.get('description', '')} |"


def _values(entry: dict[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(map(_values, entry["anyOf"]))
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    bounds = [text.format(entry[key]) for key, text in _BOUNDS.items() if key in entry]
    if entry.get("type") == "array":
        return " ".join([f"list of {_values(entry['items'])}", *(f"({text})" for text in bounds)])
    return " ".join([_KINDS.get(entry.get("type", ""), "text"), ", ".join(bounds)]).strip()


def _plain(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
