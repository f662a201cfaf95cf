"""The numbers of the fronts, each with its rows of ``fronts.csv`` or ``baselines.csv``."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd

from jadapt.analysis import printed_tables
from jadapt.analysis.front_findings import Entry, Value
from jadapt.analysis.front_points import BITS, RATES, TOLD, WITH_TASK, Plan
from jadapt.analysis.front_tables import line_label
from jadapt.analysis.labels import BASE
from jadapt.analysis.numbers import Numbers, Rows, rows
from jadapt.analysis.printing import count, fixed, p_value, percent, plain
from jadapt.core.released import MANIFEST

BIT = "bit/byte"
ANALYSIS = "scripts/jadapt/analysis/fronts.py"


def between(value: Value, digits: int = 3) -> str:
    """Return ``value (low to high)``, or the value alone where it has no interval."""
    mean = fixed(value.mean, digits)
    if not value.has_interval:
        return mean
    return f"{mean} ({fixed(value.low, digits)} to {fixed(value.high, digits)})"


def add(numbers: Numbers, found: dict[str, Any], measures: pd.DataFrame) -> None:
    """Add the numbers of the section of the fronts and of its tables.

    Args:
        numbers: collects them.
        found: of `jadapt.analysis.front_findings.context`.
        measures: the table ``front_measures.csv``.
    """
    plan: Plan = found["plan"]
    for entry in found["entries"]:
        _of_entry(numbers, entry, plan)
    every = rows("fronts", split="test")
    numbers.add("front.points", found["points"], count, every, "point")
    numbers.add("front.diverged", found["diverged"], count, every, "point")
    numbers.add("front.methods", len(found["methods"]), count, every, "run")
    numbers.add("front.chosen", len(found["chosen"]), count, every, "run")
    numbers.add("front.worse", len(found["worse"]), count, every, "run")
    numbers.add("front.tasks", len(plan.tasks), count, every, "task")
    numbers.add("front.seeds", found["seeds"], count, every, "seed")
    numbers.add("front.margin", plan.margin, plain, unit=BIT, file=MANIFEST, key="settings.fronts")
    numbers.add("front.weight", found["weight"], plain, file=MANIFEST, key="settings.fronts")
    numbers.add("front.draws", found["draws"], count, file=ANALYSIS, key="DRAWS")
    whole = partial(percent, digits=0)
    numbers.add("front.confidence", found["confidence"], whole, file=ANALYSIS, key="CONFIDENCE")
    for level in found["levels"]:
        numbers.add(f"front.level.{level}", int(level) / 100, whole, file=ANALYSIS, key="LEVELS")
    for domain, bits in found["bits"].items():
        of = rows("fronts", method=BASE, split="test", evaluated_on=domain, metric=BITS)
        numbers.add(f"front.base.{domain}", bits, fixed, of, BIT)
    for method, gain in found["trivial"].items():
        numbers.add(f"front.{method}.gain", gain, fixed, _of_trivial(method, plan), BIT)
    for _, domain, change in found["untrained"]:
        of = rows("baselines", method="ngram", trained_through=plan.tasks[-1], metric=BITS,
                  evaluated_on=domain)  # fmt: skip
        numbers.add(f"front.ngram.change.{domain}", change, fixed, of, BIT)
    _of_tables(numbers, measures, plan)


def _of_entry(numbers: Numbers, entry: Entry, plan: Plan) -> None:
    learned, kept = _of(entry, plan, plan.tasks), _of(entry, plan, plan.retention)
    both = _of(entry, plan, (*plan.tasks, *plan.retention))

    def add(key: str, value: Any, of: Rows, form: Any = between, unit: str = BIT) -> None:
        mean = value.mean if isinstance(value, Value) else value
        if math.isfinite(mean):
            numbers.add(f"{entry.name}.{key}", value, form, of, unit)

    add("gain", entry.gain, learned)
    add("forgetting", entry.forgetting, kept)
    add("best_gain", entry.best, learned)
    add("area", entry.area, both)
    add("rate", entry.rate, both, plain, "1")
    for level in entry.at:
        add(f"at.{level}", entry.at[level], both)
    for level, difference in entry.difference.items():
        add(f"difference.{level}", difference, both)
        add(f"p.{level}", entry.p[level], both, p_value, "1")
    for domain, change in entry.changes.items():
        add(f"change.{domain}", change, _of(entry, plan, (domain,)))


def _of(entry: Entry, plan: Plan, domains: tuple[str, ...]) -> Rows:
    return _rows(entry.method, entry.line, plan, domains)


def _rows(method: str, line: str, plan: Plan, domains: tuple[str, ...]) -> Rows:
    """Return the rows of a line and of the base model on some domains, after the last task."""
    metrics = [BITS, WITH_TASK] if line == TOLD else [BITS]
    return rows(
        "fronts", method=[BASE, method], trained_through=["", plan.tasks[-1]], split="test",
        evaluated_on=list(domains), metric=metrics,
        **({"interpolation": ["0.0", "1.0"]} if line in (RATES, TOLD) else {}),
    )  # fmt: skip


def _of_trivial(method: str, plan: Plan) -> Rows:
    return rows("baselines", method=method, trained_through=plan.tasks[-1], metric=BITS)


def _of_tables(numbers: Numbers, measures: pd.DataFrame, plan: Plan) -> None:
    """Add the cells of the printed tables of the fronts."""
    labels = {
        line_label(method, line): (method, line)
        for method, line in measures[["method", "line"]].drop_duplicates().itertuples(index=False)
    }
    for name, make in printed_tables.FRONTS.items():
        frame = make(measures)
        keys = printed_tables.keys(name, frame)
        for cell in printed_tables.cells(name, frame, keys):
            row = frame.iloc[keys.index(cell.row)]
            method, line = labels.get(str(row["front_line"]), (BASE, ""))
            metric, _, part = cell.column.partition(":")
            domains = (part,) if metric == "domain_change" else (*plan.tasks, *plan.retention)
            trivial = line == "" and method != BASE
            of = _of_trivial(method, plan) if trivial else _rows(method, line, plan, domains)
            value = float(cell.value[0])
            numbers.add(cell.name, value, str, of, printed=cell.text)
