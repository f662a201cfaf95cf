"""How near each segmenter comes to the reference words: the printed table, and what the text says.

Against gold words a score says how right a segmenter is. Where none were reached, it says how far
it agrees with MeCab, and every name of it says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from jadapt.analysis.labels import script_label, segmenter_label
from jadapt.analysis.statistics import Estimate, estimate
from jadapt.analysis.summaries import put

ALL, MIXED, UNSEEN = "all", "mixed", "unseen"
# Parts of the heading: over all words, then recall alone of the words that training did not have.
OVERALL = {
    "precision": (ALL, "precision"),
    "recall": (ALL, "recall"),
    "F1": (ALL, "f1"),
    "recall, unseen": (UNSEEN, "recall"),
}
AGREEMENT = "agreement_"
# Classes that are no script.
CLASSES = {
    "latin": "words in Latin letters", "digit": "words of digits", "other": "punctuation and signs",
}  # fmt: skip
LEARNED = "bilstm_crf"


@dataclass(frozen=True)
class Segmenter:
    """What the text says of one segmenter; shares from 0 to 1."""

    name: str
    label: str
    f1: Estimate
    unseen_recall: Estimate


def is_gold(table: pd.DataFrame) -> bool:
    """Tell whether the reference is gold segmentation."""
    return bool(table["gold"].all())


def segmentation_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a segmenter, in per cent, as means over seeds beside their intervals."""
    overall, by_script = (
        ("words", "word_script") if is_gold(table) else ("agreement", "agreement_script")
    )
    scripts = [g for g in table["group"].unique() if g not in (ALL, UNSEEN)]
    rows = []
    for name in table["segmenter"].unique():
        row: dict[str, object] = {"segmenter": name}
        for heading, (group, metric) in OVERALL.items():
            put(row, f"{overall}:{heading}", 100 * values(table, name, group, metric))
        for script in scripts:
            put(row, f"{by_script}:{script}", 100 * values(table, name, script, "f1"))
        rows.append(row)
    return pd.DataFrame(rows)


def values(table: pd.DataFrame, segmenter: str, group: str, metric: str) -> pd.Series:
    """Return the shares of one segmenter and group, by seed."""
    metric = metric if is_gold(table) else AGREEMENT + metric
    chosen = (
        (table["segmenter"] == segmenter) & (table["group"] == group) & (table["metric"] == metric)
    )
    return table[chosen].set_index("seed")["value"]


def context(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return what the template may name of segmentation; nothing where it was not measured."""
    if table is None:
        return None
    words = table[(table["group"] == ALL) & table["metric"].str.endswith("recall")]
    found = [_segmenter(table, name) for name in table["segmenter"].unique()]
    unseen = table[table["group"] == UNSEEN]
    return {
        "gold": is_gold(table),
        "reference": table["reference"].iloc[0]
        if is_gold(table)
        else segmenter_label(table["reference"].iloc[0]),
        "words": int(words["n"].iloc[0]),
        "unseen": int(unseen["n"].iloc[0]) if len(unseen) else 0,
        "of": lambda name: next((each for each in found if each.name == name), None),
        "learned": next((each for each in found if each.name == LEARNED), None),
        "dictionaries": [each for each in found if each.name != LEARNED],
    }


def by_class(table: pd.DataFrame, segmenter: str) -> dict[str, float]:
    """Return the mean F1 of a segmenter by class of words, in words; of all classes measured."""
    groups = [group for group in table["group"].unique() if group not in (ALL, UNSEEN)]
    return {_written(group): values(table, segmenter, group, "f1").mean() for group in groups}


def _written(script: str) -> str:
    if script == MIXED:
        return "words of mixed script"
    return CLASSES.get(script, f"words in {script_label(script)}")


def _segmenter(table: pd.DataFrame, name: str) -> Segmenter:
    return Segmenter(
        name,
        segmenter_label(name),
        estimate(values(table, name, ALL, "f1")),
        estimate(values(table, name, UNSEEN, "recall")),
    )
