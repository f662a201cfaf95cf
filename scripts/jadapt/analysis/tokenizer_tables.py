"""What tokenizers do to text and to small models: the table, and what the text says.

Tokenizers whose names begin with ``raw_`` were measured on text without normalisation. They compare
with each other only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from jadapt.analysis.labels import segmenter_label, tokenizer_label
from jadapt.analysis.statistics import Estimate, estimate
from jadapt.analysis.summaries import BITS, put

ALL, TEXT = "all", "text"
RAW, NONE = "raw_", "raw_none"
FERTILITY = "tokens_per_character"
WHOLE = "words_kept_whole"


@dataclass(frozen=True)
class Compared:
    """A model against another of the same seeds: its bits per byte, and how many more they are."""

    label: str
    bits: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Reference:
    """Whose words were counted, by the name that readers see, and whether they are gold."""

    label: str
    gold: bool


def reference(table: pd.DataFrame) -> Reference:
    """Return whose words the shares of words kept whole are of.

    Raises:
        ValueError: they are of several, which no mean may be taken of.
    """
    rows = table[table["metric"] == WHOLE]
    found = sorted(set(zip(rows["reference"], rows["gold"], strict=True)))
    if len(found) > 1:
        raise ValueError(f"words of several references: {found}; remake the table")
    name, gold = found[0] if found else ("", "")
    if gold == "true":
        return Reference(name, True)
    # Tables of earlier releases do not name the dictionary.
    return Reference(segmenter_label(name) if name else "MeCab", False)


def names(table: pd.DataFrame, *, raw: bool = False) -> list[str]:
    """Return the tokenizers in the order of the table, those of raw text or the others."""
    return [name for name in table["tokenizer"].unique() if name.startswith(RAW) == raw]


def pooled(table: pd.DataFrame, tokenizer: str, metric: str, script: str = ALL) -> float:
    """Return a measure of a tokenizer over all domains, weighted by what it is a share of."""
    rows = table[
        (table["tokenizer"] == tokenizer)
        & (table["metric"] == metric)
        & (table["script"] == script)
        & (table["variant"] == "")
    ]
    return float(np.average(rows["value"], weights=rows["n"])) if len(rows) else np.nan


def bits(table: pd.DataFrame, tokenizer: str, variant: str = "") -> pd.Series:
    """Return bits per byte of a small model, as the mean over domains, by seed."""
    rows = table[
        (table["tokenizer"] == tokenizer)
        & (table["variant"] == variant)
        & (table["metric"] == BITS)
    ]
    # A model that diverged has a row without a value for the text it was trained on.
    return rows.groupby("seed")["value"].agg(lambda column: column.mean(skipna=False))


def tokenizers_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a tokenizer: sizes, fertility, words, bytes, speed, bits per byte."""
    words = "gold_words_whole" if reference(table).gold else "mecab_words_whole"
    rows = []
    for name in [*names(table), *names(table, raw=True)]:
        row: dict[str, object] = {"tokenizer": name}
        row["vocabulary_size"] = pooled(table, name, "vocabulary_size")
        row["tokens_per:character"] = pooled(table, name, FERTILITY)
        row["tokens_per:byte"] = pooled(table, name, "tokens_per_byte")
        row[words] = 100 * pooled(table, name, WHOLE)
        row["byte_fallback_share"] = 100 * pooled(table, name, "byte_fallback_share")
        row["encoding_speed:here"] = pooled(table, name, "encoding_speed")
        row["encoding_speed:library"] = pooled(table, name, "library_encoding_speed")
        row["steps"] = pooled(table, name, "steps")
        put(row, "bits_per_byte:small model", bits(table, name))
        rows.append(row)
    return pd.DataFrame(rows)


def context(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return what the template may name of tokenizers; nothing where they were not studied."""
    if table is None:
        return None
    ordinary, raw = names(table), names(table, raw=True)
    found = {name: bits(table, name) for name in table["tokenizer"].unique()}
    ranked = sorted(
        (name for name in ordinary if np.isfinite(found[name].mean())),
        key=lambda name: found[name].mean(),
    )
    drawn = table[table["variant"] != ""]
    regularised = str(drawn["tokenizer"].iloc[0]) if len(drawn) else ""
    variants = list(drawn["variant"].unique())
    against = found[NONE] if NONE in found else pd.Series(dtype=float)
    fertile = {name: pooled(table, name, FERTILITY) for name in ordinary}
    whole = {name: pooled(table, name, WHOLE) for name in ordinary}
    counted = table[(table["metric"] == WHOLE) & (table["tokenizer"] == ordinary[0])]
    return {
        "count": len(ordinary),
        "ranked": [(tokenizer_label(name), estimate(found[name])) for name in ranked],
        "fewest": _labelled(min, fertile),
        "most": _labelled(max, fertile),
        "whole": _labelled(max, whole),
        "least_whole": _labelled(min, whole),
        "reference": reference(table),
        "words": int(counted["n"].sum()),
        "regularised": tokenizer_label(regularised),
        "plain": estimate(found[regularised]) if regularised else None,
        "variants": [
            _against(name, bits(table, regularised, name), found[regularised]) for name in variants
        ],
        "normalisations": [_against(name, found[name], against) for name in raw if name != NONE],
        "unnormalised": estimate(against) if len(against) else None,
    }


def _labelled(choose: Any, values: dict[str, float]) -> tuple[str, float]:
    name = choose(values, key=values.get)
    return tokenizer_label(name), values[name]


def _against(name: str, values: pd.Series, plain: pd.Series) -> Compared:
    difference = (values - plain).dropna()
    return Compared(tokenizer_label(name.removeprefix(RAW)), estimate(values), estimate(difference))
