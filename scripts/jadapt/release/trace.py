"""From a figure or a number of the paper back to the runs and texts behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, sha256_file
from jadapt.core.released import CARD, CARD_RECORD, MACHINE
from jadapt.release.origins import Number

SHOWN = 12
# Numbers of a table that name a row; where no measurement counts, what was counted may.
KEYS = ("seed", "step", "rows", "length", "repeat")
COUNTS = ("n",)
# Where a row of each table of measurements comes from.
BEHIND = {
    "metrics": "evaluation/{run}/seed{seed}.csv",
    "efficiency": "runs/{run}/seed{seed}/run.json",
    "curves": "runs/{run}/seed{seed}/train.jsonl",
}
CHECKSUM = {"metrics": "evaluation_sha256", "efficiency": "run_sha256", "curves": "log_sha256"}
# The programs that measure, and those that write what was measured into a table.
SCRIPTS = {
    "metrics": ("scripts/evaluate.py", "scripts/collect.py"),
    "efficiency": ("scripts/train.py", "scripts/collect.py"),
    "curves": ("scripts/train.py", "scripts/collect.py"),
    "grid": ("scripts/search.py", "scripts/collect.py"),
    "corpora": ("scripts/build_corpus.py", "scripts/tabulate_corpora.py"),
    "segmentation": ("scripts/train_segmenter.py", "scripts/evaluate_segmentation.py"),
    "card": (
        "benchmarks/bench_gpu.py",
        "benchmarks/bench_two_gpus.py",
        "scripts/release_efficiency.py",
    ),
    "tokenizers": ("scripts/study_tokenizer.py", "scripts/study_models.py", "scripts/collect.py"),
}
# What a number may meet in a table that was changed, such as a row that is no longer found.
LOST = (UserError, KeyError, IndexError, ValueError, ZeroDivisionError)


@dataclass(frozen=True)
class Cells:
    """The rows of a table that a number depends on; lines count from 2, after the header."""

    table: str
    lines: list[int]
    rows: pd.DataFrame


def cells(number: Number) -> list[Cells]:
    """Find the rows that a number follows, by changing rows and looking whether it moves.

    Parts of a table that do not move the number as a whole are not looked into. Rows that only
    decide a choice, such as which method is the best, are not among those found. A number that
    takes the whole study has none.
    """
    if number.value_of is None or number.measured is None:
        return []
    found = _followed(number, (*KEYS, *COUNTS), ())
    # A number of words or documents moves with what else names no row.
    return found or _followed(number, KEYS, COUNTS)


def _followed(number: Number, left: tuple[str, ...], only: tuple[str, ...]) -> list[Cells]:
    before, found = _value(number, {}), []
    for name in number.tables:
        frame = getattr(number.measured, name)
        if frame is None:
            continue
        columns = [c for c in frame.select_dtypes("number").columns if c not in left]
        columns = [c for c in columns if not only or c in only]

        def moves(rows: np.ndarray, name=name, frame=frame, columns=columns) -> bool:
            changed = frame.copy()
            for column in columns:
                values = changed[column].to_numpy(dtype=float, copy=True)
                # Unequal steps, so that what is a difference of two rows moves as well.
                values[rows] = values[rows] * 1.001 + rows + 1
                changed[column] = values
            return _value(number, {name: changed}) != before

        # Most numbers follow one metric or two: the others are ruled out at once.
        kinds = frame["metric"] if "metric" in frame.columns else pd.Series(0, frame.index)
        rows: list[int] = []
        for kind in kinds.unique() if columns else ():
            rows += _halve(np.flatnonzero(kinds == kind), moves)
        if rows:
            # The index of a table counts its rows as the file does.
            rows.sort()
            found.append(Cells(name, [int(frame.index[row]) + 2 for row in rows], frame.iloc[rows]))
    return found


def _value(number: Number, changed: dict[str, pd.DataFrame]) -> str:
    try:
        return repr(number.value_of(replace(number.measured, **changed)))
    except LOST as error:
        return repr(error)


def _halve(rows: np.ndarray, moves: Callable[[np.ndarray], bool]) -> list[int]:
    if not len(rows) or not moves(rows):
        return []
    if len(rows) == 1:
        return [int(rows[0])]
    middle = len(rows) // 2
    return _halve(rows[:middle], moves) + _halve(rows[middle:], moves)


def runs_behind(
    found: Iterable[Cells], number: Number, manifest: dict
) -> list[tuple[str, int, str]]:
    """Return (run, seed, table) of the rows, or of all rows that a number may depend on."""
    behind: dict[tuple[str, int, str], None] = {}
    if not found:
        for table in number.tables:
            for run in manifest["runs"] if table in BEHIND else ():
                if number.runs is None or run["run"] in number.runs:
                    behind[run["run"], run["seed"], table] = None
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


def scripts(number: Number, tables: Iterable[str]) -> list[str]:
    """Return the programs between the runs, some tables and the text, the first to work first."""
    made = [script for table in tables for script in SCRIPTS[table]]
    return list(dict.fromkeys([*made, *number.scripts]))


def with_card(manifest: dict) -> dict:
    """Return a manifest with what was measured on a GPU by itself among its tables, if released."""
    record = Path(CARD_RECORD)
    if not record.is_file():
        return manifest
    machine = read_json(Path(CARD, MACHINE))
    facts = {"sha256": sha256_file(record), "commit": machine["commit"]}
    facts |= {"device": machine["device"], "versions": machine["versions"]}
    return {**manifest, "tables": {**manifest["tables"], "card": facts}}


def table_file(name: str, folder: Path) -> Path:
    """Return the file of a table; that of a GPU's measurements is the record of its files."""
    return Path(CARD_RECORD) if name == "card" else folder / f"{name}.csv"


def measured_by_itself(facts: dict) -> list[str]:
    """Return the lines from a GPU's measurements to the machine and the code."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return [f"  commit {facts['commit']}, {facts['device']}", f"  {versions}"]


def briefly(number: Number, manifest: dict) -> str:
    """Return one line: the tables or files, the runs, the commit."""
    if number.tables == ("card",):
        commit = ", ".join(c[:SHOWN] for c in manifest["tables"]["card"]["commit"].split())
        return f"from {CARD}; commit {commit}"
    files = [*(f"{name}.csv" for name in number.tables), *number.files]
    runs = ""
    if any(table in BEHIND for table in number.tables):
        runs = f"; runs {', '.join(number.runs) if number.runs is not None else 'all'}"
    commits = ", ".join(str(commit)[:SHOWN] for commit in manifest["commits"])
    return f"from {', '.join(files)}{runs}; commit {commits}"
