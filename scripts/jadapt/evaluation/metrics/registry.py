"""Every metric by its key, found where it is declared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from jadapt.core.registry import Registry
from jadapt.evaluation.metrics.base import Metric, TaskMetric


def _incomplete(metric: type) -> str | None:
    """Return what a metric lacks; unit and direction may be those of the metric it derives from."""
    for attribute in ("unit", "direction"):
        if not getattr(metric, attribute, None):
            return f"declares no `{attribute}`; add it to the class (docs/extending.md)"
    return None


METRICS = Registry(
    "metric",
    ("jadapt.evaluation.metrics",),
    "jadapt.metrics",
    required=("label",),
    refuse=_incomplete,
)

KNOWN = "{known}_"
Kind = TypeVar("Kind", bound=Metric)


def of_kind(kind: type[Kind]) -> list[Kind]:
    """Return an instance of each metric of a kind, in the order in which they are declared."""
    return [metric() for metric in METRICS.values() if issubclass(metric, kind)]


def modules_of(*kinds: type[Metric]) -> list[str]:
    """Return the modules of all metrics of these kinds, for the checksum of a job's code."""
    return sorted({METRICS.module(key) for key, one in METRICS.items() if issubclass(one, kinds)})


def declaration(name: str) -> type[Metric] | None:
    """Return the metric that rows called ``name`` are of; None where no metric has the name.

    The one of the known language is also found without it: ``retention``.
    """
    for key in METRICS:
        # The placeholders of a key stand for words.
        pattern = re.sub(r"\\{[a-z]+\\}", "[a-z_]+", re.escape(key))
        if re.fullmatch(pattern, name) or key.replace(KNOWN, "") == name:
            return METRICS[key]
    return None


def names(scripts: Iterable[str]) -> list[str]:
    """Return the names of metrics in ``metrics.csv``, one a script where a metric is of scripts.

    The one of the known language is named without it: ``retention``.
    """
    scripts = tuple(scripts)
    found: list[str] = []
    for key, metric in METRICS.items():
        if issubclass(metric, TaskMetric):
            continue
        if "{script}" in key:
            found += [key.format(script=script) for script in scripts]
        else:
            found.append(key.replace(KNOWN, ""))
    return found
