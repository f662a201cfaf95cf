"""The tables that the paper prints, by name, and a name for each of their cells.

The notebooks make the same tables with the same functions; a test compares them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from jadapt.analysis import (
    claim_verdicts,
    dynamics,
    effects,
    front_tables,
    gpu_benchmark_tables,
    rate_tables,
    summaries,
    transfer_tables,
)
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.numbers import slug
from jadapt.analysis.printing import INTERVAL, MARK, present
from jadapt.analysis.segmentation_tables import segmentation_table
from jadapt.analysis.tokenizer_tables import tokenizers_table

# What makes each table (`CLAIMS` follow from the verdicts instead), from the measured tables that
# the parameters of the function name.
MADE: dict[str, Callable[..., pd.DataFrame]] = {
    "results": summaries.results_table,
    "transfer": transfer_tables.transfer_table,
    "effects": effects.effects_table,
    "methods": transfer_tables.methods_table,
    "learning_rates": rate_tables.learning_rates_table,
    "variants": rate_tables.variants_table,
    "convergence_statistics": dynamics.convergence_table,
    "efficiency": summaries.efficiency_table,
    "corpora": summaries.corpora_table,
    "segmentation": lambda segmentation: segmentation_table(segmentation),
    "tokenizers": lambda tokenizers: tokenizers_table(tokenizers),
    "card_methods": lambda card: gpu_benchmark_tables.methods_table(card),
    "card_comparison": lambda card: gpu_benchmark_tables.comparison_table(card),
    "card_gains": lambda card: gpu_benchmark_tables.gains_table(card),
    "card_precisions": lambda card: gpu_benchmark_tables.precisions_table(card),
    "card_two_gpus": lambda card: gpu_benchmark_tables.two_gpus_table(card),
}
# Those of fronts, which a study may have before anything else: of `front_measures.csv` alone.
FRONTS: dict[str, Callable[..., pd.DataFrame]] = {
    "front_results": front_tables.results_table,
    "front_domains": front_tables.domains_table,
}
CLAIMS = {"claims": claim_verdicts.MEASUREMENT, "claims_arithmetic": claim_verdicts.ARITHMETIC}
# Columns that tell rows apart.
ROWS = (
    "method", "front_line", "setting", "variant", "measured_on", "tokenizer", "segmenter", "domain",
    "source", "trained", "batch", "compared", "change", "precision", "layout",
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


def needed(name: str) -> tuple[str, ...]:
    """Return the names of the measured tables that a printed table is made from."""
    return tuple(inspect.signature(MADE[name]).parameters)


def make(name: str, found: Tables, verdicts: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a table by its name."""
    if name in CLAIMS:
        return claim_verdicts.printed_table(verdicts, CLAIMS[name])
    return MADE[name](**{table: getattr(found, table) for table in needed(name)})


def keys(name: str, frame: pd.DataFrame, verdicts: pd.DataFrame | None = None) -> list[str]:
    """Return a key for every row: the identifier of a claim, or the words that begin the row."""
    if name in CLAIMS:
        return list(claim_verdicts.printed_rows(verdicts, CLAIMS[name])["id"])
    columns = [column for column in ROWS if column in frame.columns]
    found = [".".join(slug(str(row[column])) for column in columns) for _, row in frame.iterrows()]
    return found if len(set(found)) == len(found) else [str(i) for i in range(len(found))]


def cells(name: str, frame: pd.DataFrame, rows: list[str]) -> Iterator[Cell]:
    """Return the cells of a table that hold a number."""
    parts = columns(frame)
    shown = [
        column for column in frame.columns
        if str(column).split(":")[-1] not in (INTERVAL, MARK)
    ]  # fmt: skip
    table = present(frame)
    for index, texts in enumerate(table.rows):
        for place, part in parts:
            if table.numeric[place] and re.search(r"\d", texts[place]):
                title = f"table.{name}.{rows[index]}.{part}"
                column = shown[place]
                yield Cell(
                    title, rows[index], column, texts[place], value(frame, index, column)
                )  # fmt: skip


def columns(frame: pd.DataFrame) -> list[tuple[int, str]]:
    """Return the place of each printed column, and what names of its cells end with."""
    shown = [
        str(column) for column in frame.columns
        if str(column).split(":")[-1] not in (INTERVAL, MARK)
    ]  # fmt: skip
    return [
        (place, ".".join(slug(words) for words in column.split(":")))
        for place, column in enumerate(shown)
    ]


def value(frame: pd.DataFrame, index: int, column: str) -> tuple:
    """Return the number of a cell, the half-width of its interval and its mark."""
    parts = (column, f"{column}:{INTERVAL}", f"{column}:{MARK}")
    return tuple(frame[part].iloc[index] for part in parts if part in frame.columns)
