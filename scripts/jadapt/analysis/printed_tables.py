"""The tables that the paper prints, by name, and a name for each of their cells.

The notebooks make the same tables with the same functions; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from jadapt.analysis import (
    claim_verdicts,
    dynamics,
    effects,
    gpu_benchmark_tables,
    rate_tables,
    summaries,
    transfer_tables,
)
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.printing import INTERVAL, MARK, present
from jadapt.analysis.segmentation_tables import segmentation_table
from jadapt.analysis.tokenizer_tables import tokenizers_table

# What each table is made from measurements with; `CLAIMS` follow from the verdicts instead.
MADE: dict[str, Callable[[Tables], pd.DataFrame]] = {
    "results": lambda found: summaries.results_table(found.metrics, found.efficiency),
    "transfer": lambda found: transfer_tables.transfer_table(found.metrics),
    "effects": lambda found: effects.effects_table(found.metrics),
    "methods": lambda found: transfer_tables.methods_table(found.efficiency, found.grid),
    "learning_rates": lambda found: rate_tables.learning_rates_table(found.grid),
    "variants": lambda found: rate_tables.variants_table(found.grid),
    "convergence_statistics": lambda found: dynamics.convergence_table(found.curves),
    "efficiency": lambda found: summaries.efficiency_table(found.efficiency),
    "corpora": lambda found: summaries.corpora_table(found.corpora),
    "segmentation": lambda found: segmentation_table(found.segmentation),
    "tokenizers": lambda found: tokenizers_table(found.tokenizers),
    "card_methods": lambda found: gpu_benchmark_tables.methods_table(found.card),
    "card_comparison": lambda found: gpu_benchmark_tables.comparison_table(found.card),
    "card_gains": lambda found: gpu_benchmark_tables.gains_table(found.card),
    "card_precisions": lambda found: gpu_benchmark_tables.precisions_table(found.card),
    "card_two_gpus": lambda found: gpu_benchmark_tables.two_gpus_table(found.card),
}
CLAIMS = {"claims": claim_verdicts.MEASUREMENT, "claims_arithmetic": claim_verdicts.ARITHMETIC}
# Columns that tell rows apart.
ROWS = (
    "method", "setting", "variant", "measured_on", "tokenizer", "segmenter", "domain", "source",
    "trained", "batch", "compared", "change", "precision", "layout",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell of a printed table.

    ``name`` is ``table.NAME.ROW.COLUMN``; ``row`` the key of its row (a method, a domain and what
    is measured on, …); ``value`` holds the number, the half-width of its interval and its mark.
    """

    name: str
    row: str
    column: str
    text: str
    value: tuple


def slug(words: str) -> str:
    """Return words as a part of a name: lower case, with underscores for all that is no letter."""
    return re.sub(r"[^\w.]+", "_", words.lower()).strip("_")


def make(name: str, found: Tables, verdicts: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a table by its name."""
    if name in CLAIMS:
        return claim_verdicts.printed_table(verdicts, CLAIMS[name])
    return MADE[name](found)


def keys(name: str, frame: pd.DataFrame, verdicts: pd.DataFrame | None = None) -> list[str]:
    """Return a key for every row: the identifier of a claim, or the words that begin the row."""
    if name in CLAIMS:
        return list(claim_verdicts.printed_rows(verdicts, CLAIMS[name])["id"])
    columns = [column for column in ROWS if column in frame.columns]
    found = [".".join(slug(str(row[column])) for column in columns) for _, row in frame.iterrows()]
    return found if len(set(found)) == len(found) else [str(i) for i in range(len(found))]


def cells(name: str, frame: pd.DataFrame, rows: list[str]) -> Iterator[Cell]:
    """Return the cells of a table that hold a number."""
    shown = [
        column for column in frame.columns
        if str(column).split(":")[-1] not in (INTERVAL, MARK)
    ]  # fmt: skip
    table = present(frame)
    for index, texts in enumerate(table.rows):
        for column, text, numeric in zip(shown, texts, table.numeric, strict=True):
            if numeric and re.search(r"\d", text):
                part = ".".join(slug(words) for words in str(column).split(":"))
                title = f"table.{name}.{rows[index]}.{part}"
                yield Cell(title, rows[index], column, text, value(frame, index, column))


def value(frame: pd.DataFrame, index: int, column: str) -> tuple:
    """Return the number of a cell, the half-width of its interval and its mark."""
    parts = (column, f"{column}:{INTERVAL}", f"{column}:{MARK}")
    return tuple(frame[part].iloc[index] for part in parts if part in frame.columns)
