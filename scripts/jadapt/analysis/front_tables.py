"""The printed tables of the fronts: methods at equal learning, chosen models on every domain."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from jadapt.analysis.front_measures import NOT_REACHED
from jadapt.analysis.front_points import BITS, LINES, RATES, TOLD, WEIGHTS
from jadapt.analysis.labels import BASE, in_order, method_label

# How a verdict is marked in a cell; the captions say what the marks mean.
MARKS = {"less": " ↓", "more": " ↑", "same": " ≈"}
TRIVIAL = {
    "unigram": "Unigram of tokens",
    "ngram": "Character n-gram",
    "ngram_all": "Character n-gram, all text",
}
OF_LINE = {RATES: "", WEIGHTS: ", interpolated", TOLD: ", told the task"}


def line_label(method: str, line: str = RATES) -> str:
    """Return the name of a line of a front, or of a trivial model, for readers."""
    return TRIVIAL.get(method) or method_label(method) + OF_LINE.get(line, "")


def results_table(front_measures: pd.DataFrame) -> pd.DataFrame:
    """Return methods at the point that was chosen and at equal learning: one row a method.

    The base model and trivial models of the same text come first: the one neither learned nor
    forgot anything, the others know no other language. Interpolated weights of a method are a
    column of its row, at the middle level.
    """
    levels = sorted(front_measures["level"].dropna().unique())
    strengths = front_measures.loc[front_measures["measure"] == "gain", "strength"].ne("").any()
    weights = front_measures[front_measures["line"] == WEIGHTS]
    rows = []
    for method, line, own in _lines(front_measures):
        if line == WEIGHTS:
            continue
        row: dict[str, Any] = {"front_line": line_label(method, line)}
        chosen = own[(own["measure"] == "gain") & own["selected"]]
        row["learning_rate"] = chosen["learning_rate"].iloc[0] if len(chosen) else math.nan
        if strengths:
            row["front_strength"] = chosen["strength"].iloc[0] if len(chosen) else ""
        row["gain_at_chosen"] = 0.0 if method == BASE else _one(own, "gain")
        row["forgotten"] = 0.0 if method == BASE else _one(own, "forgetting")
        row["most_learned"] = _one(own, "best_gain")
        for level in levels:
            _put(row, f"forgotten_at:{level:.0%}", own[own["level"] == level])
        if len(weights) and levels:
            middle = levels[len(levels) // 2]
            same = (weights["method"] == method) & (weights["level"] == middle) & (line == RATES)
            _put(row, f"interpolated_at:{middle:.0%}", weights[same])
        row["front_area"] = _one(own, "area")
        rows.append(row)
    return pd.DataFrame(rows)


def _put(row: dict[str, Any], column: str, at: pd.DataFrame) -> None:
    row[column] = _one(at, "at_equal_learning")
    row[f"{column}:mark"] = _mark(at)


def domains_table(front_measures: pd.DataFrame) -> pd.DataFrame:
    """Return bits per byte above the base model's on every domain: one row a chosen model.

    The row of the base model has its bits per byte themselves.
    """
    bits = front_measures[front_measures["measure"] == BITS].set_index("domain")["value"]
    domains = sorted(bits.index, key=lambda name: _rank(front_measures, name))
    rows: list[dict[str, Any]] = [
        {"front_line": "Base model, bits per byte",
         **{f"domain_change:{domain}": bits[domain] for domain in domains}}
    ]  # fmt: skip
    for method, line, own in _lines(front_measures):
        change = own[own["measure"] == "change"].set_index("domain")["value"]
        if change.empty:
            continue
        changes = {f"domain_change:{name}": change.get(name, math.nan) for name in domains}
        rows.append({"front_line": line_label(method, line), **changes})
    return pd.DataFrame(rows)


def _rank(front_measures: pd.DataFrame, domain: str) -> int:
    """Sort domains: the text to be kept, other text, the tasks in their order."""
    kept, tasks = (domains(front_measures, measure) for measure in ("forgetting", "gain"))
    if domain in kept:
        return kept.index(domain)
    return 100 + tasks.index(domain) if domain in tasks else 50


def domains(front_measures: pd.DataFrame, measure: str) -> list[str]:
    """Return the domains that ``gain`` or ``forgetting`` is the mean of."""
    rows = front_measures[front_measures["measure"] == f"point_{measure}"]
    return rows["domain"].iloc[0].split()


def _lines(measures: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the lines with their rows: trivial models, then methods in the house order."""
    names = in_order(set(measures["method"]) - set(TRIVIAL))
    methods = [name for name in TRIVIAL if name in set(measures["method"])] + names
    found = []
    for method in methods:
        of_method = measures[measures["method"] == method]
        for line in ("", *LINES):
            own = of_method[of_method["line"] == line]
            if len(own):
                found.append((method, line, own))
    # The base model before all that is made from it.
    return sorted(found, key=lambda row: row[0] != BASE)


def _one(own: pd.DataFrame, measure: str) -> float:
    values = own.loc[own["measure"] == measure, "value"]
    return float(values.iloc[0]) if len(values) else math.nan


def _mark(at: pd.DataFrame) -> str:
    there = at[at["measure"] == "at_equal_learning"]
    if there.empty:
        return ""
    if math.isnan(there["value"].iloc[0]):
        return NOT_REACHED
    verdict = at.loc[at["measure"] == "difference", "verdict"]
    return MARKS.get(verdict.iloc[0], "") if len(verdict) else ""
