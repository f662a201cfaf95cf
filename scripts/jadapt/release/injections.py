"""Every number that the paper prints, with its name and the line of the template that prints it.

The template is rendered as for the paper, by an environment that follows numbers from the context
to the text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2.filters import FILTERS

from jadapt.analysis.printed_tables import Cell, slug
from jadapt.paper.template import Typst, environment, render
from jadapt.release.names import (
    NamedFloat,
    NamedInt,
    NamedText,
    entries,
    is_number,
    named,
    unwrapped,
)

# Filters of `jadapt.paper.template` that turn a number into text.
ROUNDING = (
    "count", "estimate", "estimated_percent", "fixed", "p_value", "percent", "plain", "significant",
)  # fmt: skip


@dataclass(frozen=True)
class Injection:
    """A printed number; ``name`` is None for one that could not be followed."""

    name: str | None
    text: str
    value: Any
    place: str


class Following(jinja2.Environment):
    """An environment whose look-ups keep the names of numbers."""

    recorder: Recorder

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look an attribute up as ``obj.attribute`` does."""
        return self.recorder.step(obj, attribute, super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look a key up as ``obj[argument]`` does."""
        return self.recorder.step(obj, argument, super().getitem(obj, argument))


class Recorder:
    """What rendering has printed so far, and the names of what it has seen."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.found: list[Injection] = []
        self.text = ""
        # Objects by identity; each is kept, so that no identity is used twice.
        self._names: dict[int, tuple[Any, str]] = {}
        self.environment = environment(folder, Following)
        self.environment.recorder = self
        filters = self.environment.filters
        filters |= {name: self._watched(filters[name]) for name in (*ROUNDING, "code")}
        filters["length"] = self._length
        root = self.environment.globals["sqrt"]
        self.environment.globals["sqrt"] = lambda value: self._derived(value, root(value), "root")
        self.environment.finalize = self._finalized(self.environment.finalize)

    def follow(self, value: Any, name: str) -> Any:
        """Return a value whose numbers know their names."""
        if isinstance(value, bool | NamedInt | NamedFloat | NamedText) or value is None:
            return value
        if isinstance(value, int | float | str):
            return named(value, name) if is_number(value) else value
        if isinstance(value, dict):
            return {key: self.follow(part, f"{name}.{key}") for key, part in value.items()}
        if isinstance(value, list | tuple):
            if unwrapped(value) is not value:
                return value[0], self.follow(value[1], name)
            made = type(value)(self.follow(part, f"{name}.{key}") for key, part in entries(value))
            self._keep(made, name)
            return made
        if is_dataclass(value):
            self._keep(value, name)
        return value

    def _keep(self, value: Any, name: str) -> None:
        self._names.setdefault(id(value), (value, name))

    def step(self, value: Any, key: Any, found: Any) -> Any:
        """Return what was found under a key of a value, with a name if the value has one."""
        name = self._names.get(id(value))
        return found if name is None else self.follow(found, f"{name[1]}.{key}")

    def name_of(self, value: Any) -> str | None:
        """Return the name of a value, if it was followed."""
        kept = self._names.get(id(value))
        return getattr(value, "name", None) if kept is None else kept[1]

    def _derived(self, value: Any, result: float, key: str) -> float:
        name = self.name_of(value)
        return result if name is None else named(result, f"{name}.{key}")

    def _length(self, values: Any) -> int:
        kept = self._names.get(id(values))
        size = FILTERS["length"](values)
        return size if kept is None else named(size, f"{kept[1]}.length")

    def _watched(self, rounding: Callable[..., str]) -> Callable[..., str]:
        def noted(value: Any, *arguments: Any, **options: Any) -> str:
            text = rounding(value, *arguments, **options)
            if is_number(value):
                # Text in the fixed-width font stands in quotes.
                words = value if isinstance(value, str) else str(text)
                self.note(self.name_of(value), words, value)
            return text

        return noted

    def _finalized(self, finalize: Callable[[Any], str]) -> Callable[[Any], str]:
        def noted(value: Any) -> str:
            text = finalize(value)
            if isinstance(value, NamedText) or not isinstance(value, str):
                self.note(self.name_of(value), text, value)
            return text

        return noted

    def note(self, name: str | None, text: str, value: Any) -> None:
        """Record what is printed by the line of a template that is at work."""
        self.found.append(Injection(name, text, value, self._place()))

    def _place(self) -> str:
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.endswith(".j2"):
                template = self.environment.get_template(frame.f_globals["name"])
                line = template.get_corresponding_lineno(frame.f_lineno)
                return f"{frame.f_code.co_filename}:{line}"
            frame = frame.f_back
        return ""


def record(
    template: Path,
    context: dict[str, Any],
    cells: Callable[[str], list[Cell]],
    recorder: Recorder | None = None,
) -> list[Injection]:
    """Render the paper and return every number in it, in the order of the text.

    Args:
        template: ``paper.typ.j2``.
        context: what it is filled with, without ``figure`` and ``table``.
        cells: returns the cells of a table by its name.
        recorder: what to record with; it keeps the text as well.
    """
    recorder = recorder or Recorder(template.parent)

    def table(name: str) -> Typst:
        for cell in cells(name):
            recorder.note(cell.name, cell.text, cell.value)
        return Typst("[]")

    # Runs first: wherever they turn up again, they keep their own names.
    for method in context["methods"]:
        recorder.follow(method, method.name)
    followed = {key: recorder.follow(value, key) for key, value in context.items()}
    given = {
        "setting": lambda key, default=None: recorder.follow(
            context["setting"](key, default), f"setting.{key}"
        ),
        "hyperparameters": lambda method: [
            (words, recorder.follow(value, f"hyperparameters.{method.name}.{slug(words)}"))
            for words, value in context["hyperparameters"](method)
        ],
        "figure": lambda *_: Typst("[]"),
        "table": table,
    }
    recorder.text = render(template, followed | given, recorder.environment)
    return recorder.found
