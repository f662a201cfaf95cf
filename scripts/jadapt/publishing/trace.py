"""From a figure or a number of the paper back to the runs and texts behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jadapt.errors import UserError, nearest
from jadapt.reporting import paper, summaries
from jadapt.reporting.labels import BASE
from jadapt.reporting.runs import Method, Tables, methods
from jadapt.reporting.statistics import Estimate

SHOWN = 12
# Numbers of a table that name a row, and fields of a run that are no measurement.
KEYS = ("seed", "n", "step")
NO_NUMBER = (
    "name", "label", "kind", "strategies", "settings", "gains", "losses", "validation",
    "without_task", "joint", "penalised", "rehearses", "projects", "told_the_task", "diverged",
)  # fmt: skip
# Where a row of each table of measurements comes from.
BEHIND = {
    "metrics": "evaluation/{run}/seed{seed}.csv",
    "efficiency": "runs/{run}/seed{seed}/run.json",
    "curves": "runs/{run}/seed{seed}/train.jsonl",
}
CHECKSUM = {"metrics": "evaluation_sha256", "efficiency": "run_sha256", "curves": "log_sha256"}


@dataclass(frozen=True)
class Cells:
    """The rows of a table that a number depends on; lines count from 2, after the header."""

    table: str
    lines: list[int]
    rows: pd.DataFrame


@dataclass(frozen=True)
class Number:
    """A number of the paper: where it is printed from and how it follows from tables.

    ``value_of`` computes it from ``tables``, which hold no more than it can depend on.
    """

    name: str
    printed: str
    tables: Tables
    value_of: Callable[[Tables], Any]

    @property
    def value(self) -> Any:
        """Its value in the study."""
        return self.value_of(self.tables)


def number(name: str, tables: Tables, settings: dict) -> Number:
    """Find a number by its name.

    Args:
        name: a name of the template such as ``base_home_bits``, or a run and what was measured of
            it such as ``lora.gain`` (in the template ``method.gain``).
        tables: the tables of the study.
        settings: its configuration.

    Raises:
        UserError: there is no such number; the nearest names are given.
    """
    names = summaries.adapted(tables.metrics)
    run, _, attribute = name.partition(".")
    of_runs = [key for key in _fields(Method) if key not in NO_NUMBER]
    if run in names and attribute in of_runs:
        return Number(
            name,
            f".{attribute}",
            _only(tables, [BASE, run]),
            lambda some: getattr(methods(some, settings)[0], attribute),
        )
    # With one other run, since the tasks are those that some run went through.
    base = _only(tables, [BASE, names[0]])
    before = {key for key, value in paper.before(tables).items() if is_number(value)}
    if name in before:
        return Number(name, name, base, lambda some: paper.before(some)[name])
    found = methods(tables, settings)
    described = paper.described(tables, settings, found)
    if name in described and is_number(described[name]):
        return Number(name, name, tables, lambda some: paper.described(some, settings, found)[name])
    known = [*before, *(key for key, value in described.items() if is_number(value))]
    known += [f"{each}.{key}" for each in names for key in of_runs]
    raise UserError(f"number '{name}': not in the paper{_nearest(name, known)}")


def _nearest(name: str, known: list[str]) -> str:
    hint = nearest(name, known)
    return hint if "mean" in hint else f"; for example {', '.join(sorted(known)[:SHOWN])}"


def _fields(kind: type) -> list[str]:
    properties = [key for key, value in vars(kind).items() if isinstance(value, property)]
    return [*(field.name for field in fields(kind)), *properties]


def _only(tables: Tables, runs: list[str]) -> Tables:
    """Return the tables with the rows of some runs."""
    parts = {
        name: frame[frame["method"].isin(runs)].copy()
        for name in ("metrics", "efficiency", "curves")
        if (frame := getattr(tables, name)) is not None
    }
    return replace(tables, **parts, grid=None)


def is_number(value: Any) -> bool:
    """Tell whether a value of the template is a number or an estimate of one."""
    return isinstance(value, int | float | Estimate) and not isinstance(value, bool)


def places(printed: str, templates: Iterable[Path]) -> list[str]:
    """Return ``file:line`` wherever a template injects a name, or decides by it."""
    alone = "" if printed.startswith(".") else r"(?<![\w.])"
    first = re.compile(rf"{alone}{re.escape(printed)}(?!\w)")
    marked = re.compile(r"<<.*?>>|<%.*?%>", re.DOTALL)
    found = []
    for path in templates:
        text = path.read_text(encoding="utf-8")
        for match in marked.finditer(text):
            if first.search(match.group()):
                found.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}")
    return list(dict.fromkeys(found))


def cells(number: Number) -> list[Cells]:
    """Find the rows that a number follows, by changing rows and looking whether it moves.

    Halves of a table that do not move the number as a whole are not looked into. Rows that only
    decide a choice, such as which method is the best, are not among those found.
    """
    before, found = repr(number.value), []
    for name in ("metrics", "efficiency", "curves", "corpora"):
        frame = getattr(number.tables, name)
        columns = [c for c in frame.select_dtypes("number").columns if c not in KEYS]

        def moves(rows: np.ndarray, name=name, frame=frame, columns=columns) -> bool:
            changed = frame.copy()
            for column in columns:
                values = changed[column].to_numpy(dtype=float, copy=True)
                # Unequal steps, so that what is a difference of two rows moves as well.
                values[rows] = values[rows] * 1.001 + rows + 1
                changed[column] = values
            return repr(number.value_of(replace(number.tables, **{name: changed}))) != before

        rows = _halve(np.arange(len(frame)), moves)
        if rows:
            # The index of a table counts its rows as the file does.
            found.append(Cells(name, [int(frame.index[row]) + 2 for row in rows], frame.iloc[rows]))
    return found


def _halve(rows: np.ndarray, moves: Callable[[np.ndarray], bool]) -> list[int]:
    if not len(rows) or not moves(rows):
        return []
    if len(rows) == 1:
        return [int(rows[0])]
    middle = len(rows) // 2
    return _halve(rows[:middle], moves) + _halve(rows[middle:], moves)


def runs_behind(found: Iterable[Cells]) -> list[tuple[str, int, str]]:
    """Return (run, seed, table) of the rows, the base model added to what is relative to it."""
    behind: dict[tuple[str, int, str], None] = {}
    for part in found:
        if "method" in part.rows.columns and part.table in BEHIND:
            for method, seed in zip(part.rows["method"], part.rows["seed"], strict=True):
                behind[str(method), int(seed), part.table] = None
    return list(behind)


def chain(manifest: dict, behind: Iterable[tuple[str, int, str]], folder: Path) -> list[str]:
    """Return the lines from files of runs to their commit and their inputs.

    Args:
        manifest: the manifest of the study.
        behind: (run, seed, table) as `runs_behind` returns them.
        folder: the results of the study on this machine, which need not be there.
    """
    runs = {(run["run"], run["seed"]): run for run in manifest["runs"]}
    lines: list[str] = []
    for name, seed, table in behind:
        run = runs.get((name, seed))
        if run is None:
            continue
        path = folder / BEHIND[table].format(run=name, seed=seed)
        here = "" if path.exists() else " (not on this machine)"
        lines += [
            f"  {path}{here}",
            f"    sha256 {run[CHECKSUM[table]]}",
            f"    run {name}, seed {seed}: run.json sha256 {run['run_sha256']}",
            f"    commit {run['commit']}, lock sha256 {str(run['lock'])[:SHOWN]}…, {run['device']}",
        ]
    return lines


def inputs(manifest: dict) -> list[str]:
    """Return the lines of what every run is made from: tokenizer, token files, corpora, sources."""
    lines = [f"  tokenizer: sha256 {manifest['tokenizer']}"]
    for name, tokens in manifest["tokens"].items():
        lines.append(f"  tokens {name}: sha256 {tokens['tokens_sha256']}")
    for domain, corpus in manifest["corpora"].items():
        for split, sha256 in corpus["splits"].items():
            lines.append(f"  corpus {domain}/{split}: sha256 {sha256}")
        for name, source in corpus["sources"].items():
            for file in source.get("files", []):
                lines.append(f"    from {name}: {file['file']}, sha256 {file['sha256']}")
            if "pins" in source:
                lines.append(f"    from {name}: the files of {source['pins']}")
    return lines
