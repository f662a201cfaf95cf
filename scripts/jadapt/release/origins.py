"""What numbers of the paper are made from: tables of measurements, or files that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.claims import Ledger

# Where numbers come from that are not measured, by how their names begin.
CONFIGURATION = ("setting", "hyperparameters", "rate_groups", "overrides")
LITERATURE = ("literature", "earlier", "names")
CONSTANTS = {
    "level": "scripts/jadapt/reporting/statistics.py",
    "course.near": "scripts/jadapt/reporting/dynamics.py",
    "course.end": "scripts/jadapt/reporting/dynamics.py",
    "card.rank": "scripts/jadapt/reporting/card.py",
    "card_goals": "scripts/jadapt/reporting/card_goals.py",
}
OF_RUNS = ("metrics", "efficiency", "curves")
OF_CLAIMS = (*OF_RUNS, "grid")
# The tables that the parts of the text are computed from.
OF_PART = {
    "described": ("metrics", "efficiency", "corpora"),
    "before": ("metrics", "efficiency"),
    "results": OF_RUNS,
    "grid": ("grid", "metrics"),
    "course": ("curves",),
    "segmentation": ("segmentation",),
    "tokenizers": ("tokenizers",),
    "card": ("card",),
}
OF_TABLE = {
    "results": ("metrics", "efficiency"),
    "transfer": ("metrics",),
    "effects": ("metrics",),
    "methods": ("efficiency", "grid"),
    "learning_rates": ("grid",),
    "variants": ("grid",),
    "convergence_statistics": ("curves",),
    "efficiency": ("efficiency",),
    "corpora": ("corpora",),
    "segmentation": ("segmentation",),
    "tokenizers": ("tokenizers",),
    "card_methods": ("card",),
    "card_comparison": ("card",),
    "card_gains": ("card",),
    "card_precisions": ("card",),
    "card_two_gpus": ("card",),
}
# What the functions of the ledger read.
OF_FUNCTION = {
    "measured": "metrics", "gain": "metrics", "loss": "metrics", "cost": "efficiency",
    "ablation": "grid", "steps_to_converge": "curves", "variance_at_end": "curves",
    "lowest_validation_step": "curves", "validation_rise": "curves",
}  # fmt: skip


@dataclass(frozen=True)
class Number:
    """A number of the paper.

    ``files`` are what it is read from where that is no table of measurements, ``tables`` the names
    of those tables that it can depend on, ``runs`` the runs (None for all). ``value_of`` computes
    it from ``measured``, tables that hold no more than it can depend on; None where that takes the
    whole study. ``note`` says how it comes about.
    """

    name: str
    value: Any
    scripts: tuple[str, ...]
    files: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    runs: tuple[str, ...] | None = ()
    measured: Tables | None = None
    value_of: Callable[[Tables], Any] | None = None
    note: str = ""


@dataclass(frozen=True)
class Sources:
    """Everything that the paper of a study is made from."""

    tables: Tables
    settings: dict
    literature: dict
    ledger: Ledger
    unmet: list[str]
    manifest: dict
    template: Path
    study: str = ""


def only(tables: Tables, runs: Iterable[str]) -> Tables:
    """Return the tables with the rows of some runs."""
    parts = {
        name: frame[frame["method"].isin(list(runs))].copy()
        for name in OF_CLAIMS
        if (frame := getattr(tables, name)) is not None
    }
    return replace(tables, **parts)
