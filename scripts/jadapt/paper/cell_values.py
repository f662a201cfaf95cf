"""The cells of the printed tables as numbers of the paper, each with the rows that it is from."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd

from jadapt.analysis import printed_tables, summaries, transfer_tables
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.labels import BASE
from jadapt.analysis.numbers import Numbers, Rows, rows
from jadapt.analysis.printing import present
from jadapt.analysis.statistics import Estimate
from jadapt.core.tables import GPU_BENCHMARK, MEASURED

# Columns of printed tables and the columns of measurements that hold the same.
SAME = {
    "method": "method", "measured_on": "evaluated_on", "variant": "variant", "domain": "domain",
    "source": "source", "tokenizer": "tokenizer", "segmenter": "segmenter", "trained": "label",
    "change": "change", "precision": "precision", "layout": "layout",
}  # fmt: skip
# Columns that the part of a printed column's name is a value of, as in ``bits_per_byte:everyday``.
OF_PART = ("evaluated_on", "group", "script", "learning_rate")
COMPARED = ("effects",)
Measure = Callable[..., Rows | None]


def add(numbers: Numbers, tables: Tables, verdicts: pd.DataFrame, measure: Measure) -> None:
    """Add every cell of every table that the study can print.

    Args:
        measure: returns the rows of a measure of a run, as `jadapt.paper.values.Places.measure`.
    """
    reference = transfer_tables.reference_method(tables.metrics)
    values = cache(lambda table, column: set(map(str, getattr(tables, table)[column])))
    for name in (*printed_tables.MADE, *printed_tables.CLAIMS):
        of_claims = name in printed_tables.CLAIMS
        needed = () if of_claims else printed_tables.needed(name)
        if any(getattr(tables, table) is None for table in needed):
            continue
        frame = printed_tables.make(name, tables, verdicts)
        keys = printed_tables.keys(name, frame, verdicts)
        for cell in printed_tables.cells(name, frame, keys):
            if of_claims:
                of: Any = rows("claims", id=cell.row)
            else:
                row = frame.iloc[keys.index(cell.row)]
                of = _rows(name, needed, row, cell.column, tables, measure, reference, values)
            numbers.add(cell.name, _value(cell), str, of, printed=cell.text)


def _value(cell: printed_tables.Cell) -> float | Estimate:
    found = [part for part in cell.value if isinstance(part, int | float) or hasattr(part, "real")]
    if not found:
        # A claim has its number in words, such as ``≥ 94.4 %``.
        digits = re.search(r"[−-]?[\d,]*\.?\d+", cell.text)
        return float(digits.group().replace("−", "-").replace(",", "")) if digits else float("nan")
    mean, *half = (float(part) for part in found)
    return Estimate(mean, half[0], 0) if half else mean


def _rows(
    name: str,
    needed: tuple[str, ...],
    row: pd.Series,
    column: str,
    tables: Tables,
    measure: Measure,
    reference: str,
    values: Callable[[str, str], set[str]],
) -> list[Rows]:
    """Return the rows of a cell: those that share its keys, its metric and the part of its name."""
    metric, *part = column.split(":")
    run = str(row["method"]) if "method" in row else ""
    if "metrics" in needed and run:
        of = measure(metric, run, reference if name in COMPARED and run != BASE else None)
        if of is not None:
            return [of]
        if metric == summaries.BITS and part:
            return [_final(tables.metrics, run, metric, part[0])]
    found = []
    for table in needed:
        declared = GPU_BENCHMARK if table == "card" else MEASURED[table]
        where: dict[str, str | list[str]] = {
            SAME[key]: str(row[key])
            for key in row.index
            if SAME.get(key) in declared.columns and str(row[key]) in values(table, SAME[key])
        }
        if "setting" in row:
            names = sorted(values(table, "ablation") - {""})
            words = str(row["setting"]).replace(" ", "_")
            where["ablation"] = next((a for a in names if a == f"{run}_{words}"), names)
            where["selected"] = ["True", "true"]
        if "metric" in declared.columns and metric in values(table, "metric"):
            where["metric"] = metric
        elif len(needed) > 1 and metric not in declared.columns and metric != "seeds":
            # The column is of the other table.
            continue
        for key in OF_PART if part else ():
            if key in declared.columns and part[0] in values(table, key):
                where[key] = part[0]
                break
        found.append(rows(table, **where))
    # A column that no table has by its name, such as a count, is of all rows of its run.
    of_run = {"method": run} if run else {}
    return found or [rows(table, **of_run) for table in needed]


def _final(metrics: pd.DataFrame, run: str, metric: str, domain: str) -> Rows:
    last = metrics.loc[metrics["method"] == run, "trained_through"].iloc[-1]
    return rows(
        "metrics", method=run, trained_through=last, evaluated_on=domain, metric=metric
    )  # fmt: skip


def checked(name: str, frame: pd.DataFrame, keys: list[str], printed: Callable[[str], str]) -> Any:
    """Return a table as printed, each number in it from ``numbers.csv`` by its name."""
    table = present(frame)
    by_place = {
        (index, column): f"table.{name}.{row}.{part}"
        for index, row in enumerate(keys)
        for column, part in printed_tables.columns(frame)
    }
    for index, texts in enumerate(table.rows):
        for column, (text, numeric) in enumerate(zip(texts, table.numeric, strict=True)):
            if numeric and re.search(r"\d", text):
                texts[column] = printed(by_place[index, column])
    return table
