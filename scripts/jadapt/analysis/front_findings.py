"""What the fronts of a study say: its lines, what they reach, and how they compare."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jadapt.analysis import front_measures, front_tables
from jadapt.analysis.adapted_models import Run
from jadapt.analysis.front_measures import NOT_REACHED
from jadapt.analysis.front_points import RATES, TOLD, WEIGHTS, Plan
from jadapt.analysis.fronts import CONFIDENCE, DRAWS
from jadapt.analysis.labels import domain_label, method_label

VERDICTS = ("less", "more", "same", "undecided", NOT_REACHED)


@dataclass(frozen=True)
class Value:
    """A value with the ends of its interval; NaN where there is none."""

    mean: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether it has an interval with two ends."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.mean)


@dataclass(frozen=True)
class Entry:
    """A line of a front: what its chosen point, its best point and its levels are.

    ``at``, ``difference``, ``p`` and ``verdict`` are by level in per cent, such as ``75``;
    ``changes`` are those of the chosen point by domain. ``name`` begins the names of its numbers.
    """

    method: str
    line: str
    run: Run
    gain: Value
    forgetting: Value
    best: Value
    area: Value
    rate: float
    at: dict[str, Value]
    difference: dict[str, Value]
    p: dict[str, float]
    verdict: dict[str, str]
    changes: dict[str, Value]
    covers: str

    @property
    def name(self) -> str:
        """The first parts of the names of its numbers."""
        return f"front.{self.method}" + ("" if self.line == RATES else f".{self.line}")

    @property
    def label(self) -> str:
        """Its name for readers."""
        return front_tables.line_label(self.method, self.line)


def entries(measures: pd.DataFrame, settings: dict) -> list[Entry]:
    """Return the lines that were measured, methods in the house order."""
    there = measures[measures["line"].isin([RATES, WEIGHTS, TOLD])]
    # A run of which points are missing is not compared, and has no best gain yet.
    keys = (
        there.loc[there["measure"] == "best_gain", ["method", "line"]]
        .drop_duplicates()
        .itertuples(index=False)
    )
    return [
        _entry(method, line, there[(there["method"] == method) & (there["line"] == line)], settings)
        for method, line in keys
    ]


def _entry(method: str, line: str, own: pd.DataFrame, settings: dict) -> Entry:
    def value(measure: str, rows: pd.DataFrame = own) -> Value:
        found = rows[rows["measure"] == measure]
        if found.empty:
            return Value(math.nan)
        first = found.iloc[0]
        return Value(*(float(first[name]) for name in ("value", "low", "high")))

    there = sorted(own.loc[own["measure"] == "at_equal_learning", "level"])
    levels = {f"{level:.0%}".rstrip("%"): own[own["level"] == level] for level in there}
    tests = {key: rows[rows["measure"] == "difference"] for key, rows in levels.items()}
    tests = {key: rows for key, rows in tests.items() if len(rows)}
    changes = own[own["measure"] == "change"].set_index("domain")
    chosen = own[(own["measure"] == "gain") & own["selected"]]
    return Entry(
        method, line, Run.of(method, settings),
        value("gain"), value("forgetting"), value("best_gain"), value("area"),
        float(chosen["learning_rate"].iloc[0]) if len(chosen) else math.nan,
        {key: value("at_equal_learning", rows) for key, rows in levels.items()},
        {key: value("difference", rows) for key, rows in tests.items()},
        {key: float(rows["p_holm"].iloc[0]) for key, rows in tests.items()},
        {key: rows["verdict"].iloc[0] for key, rows in tests.items()},
        {str(domain): Value(float(row["value"])) for domain, row in changes.iterrows()},
        str(own.loc[own["measure"] == "best_gain", "covers"].iloc[0]),
    )  # fmt: skip


def context(measures: pd.DataFrame, settings: dict) -> dict[str, Any]:
    """Return what the section of the fronts may name, beside numbers."""
    plan = Plan.of(settings)
    found = entries(measures, settings)
    methods = [entry for entry in found if entry.line == RATES]
    reference = next((entry for entry in methods if entry.method == plan.reference), None)
    levels = list(reference.at) if reference else []
    trivial = measures[(measures["measure"] == "gain") & (measures["line"] == "")]
    trivial = trivial[trivial["value"].notna()]
    gains = dict(zip(trivial["method"], trivial["value"], strict=True))
    counted = measures[(measures["measure"] == "change") & (measures["method"] == "ngram")]
    counted = dict(zip(counted["domain"], counted["value"], strict=True))
    bits = measures[measures["measure"] == front_measures.front_points.BITS]
    points = measures[(measures["measure"] == "point_gain") & (measures["line"] == RATES)]
    rivals = [entry for entry in methods if not entry.run.joint]
    chosen = [entry for entry in rivals if entry.forgetting.known]
    kept = [name for name in plan.retention if name in set(bits["domain"])]
    return {
        "plan": plan,
        "entries": found,
        "methods": methods,
        "rivals": rivals,
        "told": [entry for entry in found if entry.line == TOLD],
        "weights": {entry.method: entry for entry in found if entry.line == WEIGHTS},
        "reference": reference,
        "levels": levels,
        "middle": levels[len(levels) // 2] if levels else "",
        "grouped": lambda level: grouped(methods, level),
        "kept": [domain_label(name) for name in kept],
        "kept_keys": kept,
        "tasks": [domain_label(name) for name in plan.tasks],
        "bits": dict(zip(bits["domain"], bits["value"], strict=True)),
        "worse": sorted(
            (entry for entry in chosen if entry.forgetting.mean > 0),
            key=lambda entry: -entry.forgetting.mean,
        ),
        "chosen": chosen,
        "worse_tasks": [
            (entry, domain_label(task), task)
            for entry in rivals for task in plan.tasks
            if entry.changes.get(task, Value(math.nan)).mean > 0
        ],
        "rehearsed": [
            (entry, domain_label(plan.replayed[entry.method]), plan.replayed[entry.method])
            for entry in rivals
            if entry.run.rehearses and plan.replayed[entry.method] in entry.changes
        ],
        "joint": next((entry for entry in methods if entry.run.joint), None),
        "trivial": gains,
        "untrained": [
            (domain_label(domain), domain, change) for domain, change in counted.items()
            if domain not in plan.tasks
        ],
        "at_end": [entry for entry in methods if at_end(measures, entry)],
        "below": [
            entry for entry in rivals
            if "ngram" in gains and entry.best.known and entry.best.mean <= gains["ngram"]
        ],
        "points": len(points),
        "diverged": int(points["value"].isna().sum()),
        "seeds": int(points["n"].max()),
        "draws": DRAWS,
        "confidence": CONFIDENCE,
        "covers": reference.covers if reference else front_measures.SEEDS,
        "weight": float(settings["fronts"].get("forgetting_weight", 1.0)),
        "partly_run": [
            method_label(name) for name in plan.runs
            if name in set(points["method"]) - {entry.method for entry in methods}
        ],
        "not_run": not_run(plan, set(points["method"])),
    }  # fmt: skip


def at_end(measures: pd.DataFrame, entry: Entry) -> bool:
    """Tell whether the chosen rate is the lowest or highest of several that were tried."""
    own = measures[(measures["method"] == entry.method) & (measures["measure"] == "point_gain")]
    rates = sorted(set(own.loc[own["line"] == RATES, "learning_rate"]))
    return len(rates) > 1 and entry.rate in (rates[0], rates[-1])


def grouped(methods: Iterable[Entry], level: str) -> dict[str, list[Entry]]:
    """Return the lines by verdict at a level, those that reach it by how much they forget."""
    found: dict[str, list[Entry]] = {verdict.replace(" ", "_"): [] for verdict in VERDICTS}
    for entry in methods:
        if level in entry.verdict:
            found[entry.verdict[level].replace(" ", "_")].append(entry)
    for own in found.values():
        own.sort(key=lambda entry: entry.at[level].mean)
    return found


def not_run(plan: Plan, there: set[str]) -> list[str]:
    """Return the labels of the runs of the plan whose fronts were not made."""
    return [method_label(name) for name in plan.runs if name not in there]
