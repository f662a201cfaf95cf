"""The tables that everything printed is made from, read with checks, and tables written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from jadapt.analysis import gpu_benchmark
from jadapt.analysis.markup import latex
from jadapt.analysis.printing import present
from jadapt.core.errors import UserError
from jadapt.core.files import atomic, write_text

TEXT, NUMBER, FLAG = "text", "number", "flag"

METRICS = {
    "study": TEXT,
    "method": TEXT,
    "seed": NUMBER,
    "trained_through": TEXT,
    "evaluated_on": TEXT,
    "metric": TEXT,
    "value": NUMBER,
    "unit": TEXT,
    "n": NUMBER,
}
EFFICIENCY = {
    "study": TEXT,
    "method": TEXT,
    "seed": NUMBER,
    "parameters": NUMBER,
    "trainable_parameters": NUMBER,
    "trainable_percent": NUMBER,
    "tokens_per_second": NUMBER,
    "seconds": NUMBER,
    "training_seconds": NUMBER,
    "peak_memory_mib": NUMBER,
    "steps": NUMBER,
    "tokens": NUMBER,
    "device": TEXT,
    "final_training_loss": NUMBER,
}
CURVES = {
    "study": TEXT,
    "method": TEXT,
    "seed": NUMBER,
    "task": TEXT,
    "step": NUMBER,
    "tokens": NUMBER,
    "metric": TEXT,
    "value": NUMBER,
}
GRID = {
    "study": TEXT,
    "method": TEXT,
    "ablation": TEXT,
    "variant": TEXT,
    "learning_rate": NUMBER,
    "seed": NUMBER,
    "evaluated_on": TEXT,
    "metric": TEXT,
    "value": NUMBER,
    "unit": TEXT,
    "n": NUMBER,
    "selected": FLAG,
}
CORPORA = {
    "study": TEXT,
    "domain": TEXT,
    "language": TEXT,
    "source": TEXT,
    "licence": TEXT,
    "available": FLAG,
    "documents": NUMBER,
    "train_documents": NUMBER,
    "validation_documents": NUMBER,
    "test_documents": NUMBER,
    "characters": NUMBER,
    "bytes": NUMBER,
    "hiragana": NUMBER,
    "katakana": NUMBER,
    "kanji": NUMBER,
    "latin": NUMBER,
    "digit": NUMBER,
    "other": NUMBER,
    "attribution": TEXT,
}
CLAIMS = {
    "study": TEXT,
    "id": TEXT,
    "source": TEXT,
    "label": TEXT,
    "kind": TEXT,
    "statement": TEXT,
    "relation": TEXT,
    "expected": NUMBER,
    "allowed_low": NUMBER,
    "allowed_high": NUMBER,
    "value": NUMBER,
    "half_width": NUMBER,
    "n": NUMBER,
    "verdict": TEXT,
    "reason": TEXT,
    "unit": TEXT,
    "digits": NUMBER,
    "expression": TEXT,
    "runs": TEXT,
}
SEGMENTATION = {
    "study": TEXT,
    "segmenter": TEXT,
    "seed": NUMBER,
    "reference": TEXT,
    "gold": FLAG,
    "group": TEXT,
    "metric": TEXT,
    "value": NUMBER,
    "n": NUMBER,
}
TOKENIZERS = {
    "study": TEXT,
    "tokenizer": TEXT,
    "variant": TEXT,
    "seed": NUMBER,
    "domain": TEXT,
    "script": TEXT,
    "metric": TEXT,
    "value": NUMBER,
    "unit": TEXT,
    "n": NUMBER,
}
TASKS = {**METRICS, "standard_error": NUMBER}
TASK_DATA = {
    "study": TEXT,
    "task": TEXT,
    "domain": TEXT,
    "measure": TEXT,
    "value": NUMBER,
}
WHOSE_WORDS = ("reference", "gold")


def read_metrics(path: str | Path) -> pd.DataFrame:
    """Read ``metrics.csv``: one row a method, seed, stage of training, domain and metric."""
    return _read(path, METRICS)


def read_efficiency(path: str | Path) -> pd.DataFrame:
    """Read ``efficiency.csv``: one row a method and seed."""
    return _read(path, EFFICIENCY)


def read_curves(path: str | Path) -> pd.DataFrame:
    """Read ``curves.csv``: one row a method, seed, task, step and metric (losses in nats/token)."""
    return _read(path, CURVES)


def read_grid(path: str | Path) -> pd.DataFrame:
    """Read ``grid.csv``: one row a method, variant, learning rate, seed, domain and metric.

    A study that searches nothing has a table without rows.
    """
    return _read(path, GRID, may_be_empty=True)


def read_corpora(path: str | Path) -> pd.DataFrame:
    """Read ``corpora.csv``: one row a domain and source; script columns count characters."""
    return _read(path, CORPORA)


def read_claims(path: str | Path) -> pd.DataFrame:
    """Read ``claims.csv``: one row for each published claim, with its verdict."""
    return _read(path, CLAIMS)


def read_segmentation(path: str | Path) -> pd.DataFrame:
    """Read ``segmentation.csv``: one row a segmenter, seed, group of words and metric (shares)."""
    return _read(path, SEGMENTATION)


def read_tokenizers(path: str | Path) -> pd.DataFrame:
    """Read ``tokenizers.csv``: one row a tokenizer, variant, seed, domain, script and metric.

    What needs no model has seed 0 and no variant. ``reference`` and ``gold`` (``true``, ``false``)
    say whose words a share of words is of and are empty elsewhere; tables of earlier releases,
    whose words were MeCab's, are without them.
    """
    frame = _read(path, TOKENIZERS)
    for name in WHOSE_WORDS:
        if name not in frame:
            frame[name] = ""
    return frame


def read_tasks(path: str | Path) -> pd.DataFrame:
    """Read ``tasks.csv``: one row a method, seed, stage of training, downstream task and metric.

    ``chance`` and ``majority`` are methods with seed 0 and no stage.
    """
    return _read(path, TASKS, may_be_empty=True)


def read_task_data(path: str | Path) -> pd.DataFrame:
    """Read ``task_data.csv``: one row a downstream task, measure and, where it has one, domain."""
    return _read(path, TASK_DATA)


# Tables of measurements that a study may have, and what reads each.
READERS = {
    "metrics": read_metrics,
    "efficiency": read_efficiency,
    "curves": read_curves,
    "corpora": read_corpora,
    "grid": read_grid,
    "segmentation": read_segmentation,
    "tokenizers": read_tokenizers,
    "tasks": read_tasks,
    "task_data": read_task_data,
    "card": gpu_benchmark.read,
}


def _read(path: str | Path, columns: dict[str, str], *, may_be_empty: bool = False) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; make it first (snakemake metrics)") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable CSV table ({error}); delete it") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserError(f"{path}: column '{missing[0]}' is missing; delete the table and remake it")
    if frame.empty and not may_be_empty:
        raise UserError(f"{path}: the table has no rows; delete it and remake it")
    for name, kind in columns.items():
        if kind == NUMBER:
            frame[name] = _numbers(frame[name], path)
        elif kind == FLAG:
            frame[name] = _flags(frame[name], path)
    # Seeds name runs, so they read as integers; a run without a seed has no place in a mean.
    if "seed" in columns:
        if frame["seed"].isna().any():
            raise UserError(f"{path}: column 'seed' has an empty cell")
        frame["seed"] = frame["seed"].astype(int)
    return frame


def _numbers(column: pd.Series, path: str | Path) -> pd.Series:
    """Convert a column; empty and ``nan`` cells are missing values, other words are mistakes."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & ~column.str.strip().str.lower().isin(["", "nan"])
    if wrong.any():
        row = wrong.idxmax()
        raise UserError(
            f"{path}:{row + 2}: column '{column.name}' holds '{column[row]}', not a number"
        )
    return numbers


def _flags(column: pd.Series, path: str | Path) -> pd.Series:
    words = {"true": True, "1": True, "false": False, "0": False}
    flags = column.str.strip().str.lower().map(words)
    if flags.isna().any():
        row = flags.isna().idxmax()
        raise UserError(
            f"{path}:{row + 2}: column '{column.name}' holds '{column[row]}', not true or false"
        )
    return flags.astype(bool)


def save_table(
    frame: pd.DataFrame, stem: str | Path, *, caption: str, label: str | None = None
) -> list[Path]:
    """Write ``stem.csv`` (numbers at full precision) and ``stem.tex`` (as printed, booktabs).

    ``frame`` has columns named as `jadapt.analysis.printing` describes. ``label`` defaults to
    ``tab:`` and the stem's last part.
    """
    csv, tex = Path(f"{stem}.csv"), Path(f"{stem}.tex")
    with atomic(csv) as temporary:
        frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
    write_text(tex, latex(present(frame), caption=caption, label=label or f"tab:{Path(stem).name}"))
    return [csv, tex]


def load_table(path: str | Path) -> pd.DataFrame:
    """Read a table that `save_table` wrote, ready for `present`."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; run its notebook first") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not a readable table ({error}); delete it") from error
