"""The tables of a study, each declared once: columns, types, units, key, and who makes it.

Whoever writes a table and whoever reads it takes the columns from here. A table that lacks a
declared column, has one that nobody declared, or holds a word where a number belongs ends in one
line that names the file, the column and the table.
"""

from __future__ import annotations

import csv
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jadapt.core.errors import UserError, nearest
from jadapt.core.files import atomic

if TYPE_CHECKING:
    import pandas as pd

FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Column:
    """What a column holds: ``text``, ``number``, ``flag`` or ``seed`` (whole, in every row).

    ``unit`` is that of its numbers, where all have one. An ``optional`` column may be missing, as
    in tables of earlier releases, and then reads as empty.
    """

    kind: str
    unit: str = ""
    optional: bool = False


TEXT, NUMBER, FLAG, SEED = (Column(kind) for kind in ("text", "number", "flag", "seed"))
COUNT = Column("number", "1")


@dataclass(frozen=True)
class Table:
    """The declaration of a table.

    ``rows`` says what one row is, ``key`` which columns tell rows apart. ``programs`` measure and
    write it, the first to work first. ``behind`` is the file of a run that its rows come from, and
    ``checksum`` the key that the manifest has for it.
    """

    name: str
    rows: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    programs: tuple[str, ...] = ()
    may_be_empty: bool = False
    behind: str = ""
    checksum: str = ""
    remedy: str = "delete the table and remake it"
    header: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Keep the names of the columns in the order in which they are written."""
        object.__setattr__(self, "header", tuple(self.columns))

    def check(self, found: Iterable[str], where: str | Path) -> None:
        """Raise a `UserError` unless the columns found are those that are declared."""
        found = list(found)
        for name, column in self.columns.items():
            if name not in found and not column.optional:
                raise UserError(
                    f"{where}: column '{name}' is missing, which the table '{self.name}' has; "
                    f"{self.remedy}"
                )
        for name in found:
            if name not in self.columns:
                raise UserError(
                    f"{where}: column '{name}' is unknown to the table '{self.name}'"
                    f"{nearest(name, self.columns)}; declare it in jadapt.core.tables"
                )

    def write(self, path: Path, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> None:
        """Write rows, as sequences in the order of the columns or by their names.

        Cells are written as Python writes them; NaN is ``nan``. Text in a column of numbers is
        taken if it spells one, so that digits of another file stay as they are.

        Raises:
            UserError: a row has other columns, or a cell is of another type.
        """
        with (
            atomic(path) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(self.header)
            for row in rows:
                writer.writerow(self._cells(row, path))

    def _cells(self, row: Sequence[Any] | Mapping[str, Any], path: Path) -> list[Any]:
        if isinstance(row, Mapping):
            self.check(row, path)
            row = [row.get(name, "") for name in self.header]
        if len(row) != len(self.header):
            raise UserError(
                f"{path}: a row of {len(row)} cells, where the table '{self.name}' has "
                f"{len(self.header)} columns"
            )
        for (name, column), value in zip(self.columns.items(), row, strict=True):
            if not _fits(value, column.kind):
                raise UserError(
                    f"{path}: column '{name}' of the table '{self.name}' gets {value!r}, "
                    f"which is no {column.kind}"
                )
        return list(row)

    def write_frame(self, path: Path, frame: pd.DataFrame) -> None:
        """Write a data frame, whose columns must be those of the table, in its order."""
        self.check(frame.columns, path)
        with atomic(path) as temporary:
            frame[list(self.header)].to_csv(temporary, index=False, lineterminator="\n")

    def read(self, path: str | Path) -> pd.DataFrame:
        """Read the table; numbers as floats, flags as booleans, seeds as integers, text as it is.

        Raises:
            UserError: the file is missing, not a table, or not this one.
        """
        frame = self.read_text(path)
        self.check(frame.columns, path)
        if frame.empty and not self.may_be_empty:
            raise UserError(f"{path}: the table has no rows; delete it and remake it")
        for name, column in self.columns.items():
            if name not in frame:
                frame[name] = ""
            frame[name] = self._converted(frame[name], column.kind, path)
        return frame

    def read_text(self, path: str | Path) -> pd.DataFrame:
        """Read all cells as the text that they are, so that no digit changes."""
        import pandas as pd

        try:
            return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{path}: no such table; make it first (snakemake metrics)") from None
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not a readable CSV table ({error}); delete it") from error

    def _converted(self, column: pd.Series, kind: str, path: str | Path) -> pd.Series:
        if kind == "text":
            return column
        if kind == "flag":
            flags = column.str.strip().str.lower().map(FLAGS)
            self._refuse(column, flags.isna(), "not true or false", path)
            return flags.astype(bool)
        import pandas as pd

        found = pd.to_numeric(column, errors="coerce")
        # Empty and ``nan`` cells are missing values, other words are mistakes.
        empty = column.str.strip().str.lower().isin(["", "nan"])
        self._refuse(column, found.isna() & ~empty, "not a number", path)
        if kind == "seed":
            # Seeds name runs; a run without a seed has no place in a mean.
            if found.isna().any():
                raise UserError(f"{path}: column '{column.name}' has an empty cell")
            return found.astype(int)
        return found

    def _refuse(self, column: pd.Series, wrong: pd.Series, words: str, path: str | Path) -> None:
        if wrong.any():
            row = wrong.idxmax()
            raise UserError(
                f"{path}:{row + 2}: column '{column.name}' holds '{column[row]}', {words}, "
                f"in the table '{self.name}'"
            )


def _fits(value: Any, kind: str) -> bool:
    """Tell whether a cell may stand in a column of a kind."""
    if kind == "text":
        return isinstance(value, str)
    if kind == "flag":
        return isinstance(value, bool) or str(value).lower() in FLAGS
    if isinstance(value, bool):
        return False
    if isinstance(value, numbers.Real):
        return kind == "number" or not math.isnan(value)
    if value is None or value == "":
        return kind == "number"
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


METRICS = Table(
    "metrics",
    "a method, seed, stage of training, domain and metric",
    {
        "study": TEXT, "method": TEXT, "seed": SEED, "trained_through": TEXT, "evaluated_on": TEXT,
        "metric": TEXT, "value": NUMBER, "unit": TEXT, "n": COUNT,
    },
    ("method", "seed", "trained_through", "evaluated_on", "metric"),
    ("scripts/evaluate.py", "scripts/collect.py"),
    behind="evaluation/{run}/seed{seed}.csv",
    checksum="evaluation_sha256",
)  # fmt: skip

BASELINES = Table(
    "baselines",
    "a trivial language model, stage of training and domain; the seed is 0, as none enters",
    METRICS.columns,
    METRICS.key,
    ("scripts/measure_baselines.py",),
)

EFFICIENCY = Table(
    "efficiency",
    "a method and seed",
    {
        "study": TEXT, "method": TEXT, "seed": SEED,
        "parameters": COUNT, "trainable_parameters": COUNT,
        "trainable_percent": Column("number", "%"),
        "tokens_per_second": Column("number", "token/s"),
        "seconds": Column("number", "s"), "training_seconds": Column("number", "s"),
        "peak_memory_mib": Column("number", "MiB"),
        "steps": COUNT, "tokens": COUNT, "device": TEXT,
        "final_training_loss": Column("number", "nat/token"),
    },
    ("method", "seed"),
    ("scripts/train.py", "scripts/collect.py"),
    behind="runs/{run}/seed{seed}/run.json",
    checksum="run_sha256",
)  # fmt: skip

CURVES = Table(
    "curves",
    "a method, seed, task, step and metric (losses in nats per token)",
    {
        "study": TEXT, "method": TEXT, "seed": SEED, "task": TEXT, "step": COUNT, "tokens": COUNT,
        "metric": TEXT, "value": NUMBER,
    },
    ("method", "seed", "task", "step", "metric"),
    ("scripts/train.py", "scripts/collect.py"),
    behind="runs/{run}/seed{seed}/train.jsonl",
    checksum="log_sha256",
)  # fmt: skip

CORPORA = Table(
    "corpora",
    "a domain and source; the columns of scripts count characters",
    {
        "study": TEXT, "domain": TEXT, "language": TEXT, "source": TEXT, "licence": TEXT,
        "available": FLAG, "documents": COUNT, "train_documents": COUNT,
        "validation_documents": COUNT, "test_documents": COUNT, "characters": COUNT,
        "bytes": COUNT, "hiragana": COUNT, "katakana": COUNT, "kanji": COUNT, "latin": COUNT,
        "digit": COUNT, "other": COUNT, "attribution": TEXT,
    },
    ("domain", "language", "source"),
    ("scripts/build_corpus.py", "scripts/tabulate_corpora.py"),
)  # fmt: skip

PURITY = Table(
    "purity",
    "a domain that measures and one that is trained on or remembered; width is that of a shortest "
    "overlap in characters",
    {
        "study": TEXT, "measured": TEXT, "used": TEXT, "width": COUNT, "documents": COUNT,
        "characters": COUNT, "shared": COUNT, "overlapping": COUNT,
        "share": Column("number", "share"),
    },
    ("measured", "used"),
    ("scripts/check_purity.py",),
    # A study may measure nothing that it does not use as well.
    may_be_empty=True,
)  # fmt: skip

GRID = Table(
    "grid",
    "a method, variant, learning rate, seed, domain and metric, on validation text",
    {
        "study": TEXT, "method": TEXT, "ablation": TEXT, "variant": TEXT, "learning_rate": NUMBER,
        "seed": SEED, "evaluated_on": TEXT, "metric": TEXT, "value": NUMBER, "unit": TEXT,
        "n": COUNT, "selected": FLAG,
    },
    ("method", "ablation", "variant", "learning_rate", "seed", "evaluated_on", "metric"),
    ("scripts/search.py", "scripts/collect.py"),
    # A study that searches nothing may have a table without rows.
    may_be_empty=True,
)  # fmt: skip

FRONTS = Table(
    "fronts",
    "a run, rate, strength, interpolation, seed, stage, domain, split and metric",
    {
        "study": TEXT, "method": TEXT, "ablation": TEXT, "variant": TEXT, "learning_rate": NUMBER,
        "strength": TEXT, "interpolation": NUMBER, "seed": SEED, "trained_through": TEXT,
        "evaluated_on": TEXT, "split": TEXT, "metric": TEXT, "value": NUMBER, "unit": TEXT,
        "n": COUNT, "selected": FLAG,
    },
    ("method", "ablation", "variant", "learning_rate", "strength", "interpolation", "seed",
     "trained_through", "evaluated_on", "split", "metric"),
    ("scripts/front.py", "scripts/collect.py"),
    may_be_empty=True,
)  # fmt: skip

# A line of a front leads through the rates of a run (``rates``), through weights interpolated with
# the base model's (``weights``), or through rates of a model that is told the task (``told``).
FRONT_MEASURES = Table(
    "front_measures",
    "a line of a front and a measure: of a point, at a level of equal learning, or of a domain",
    {
        "study": TEXT, "method": TEXT, "line": TEXT, "measure": TEXT, "level": NUMBER,
        "domain": TEXT, "learning_rate": NUMBER, "strength": TEXT, "interpolation": NUMBER,
        "selected": FLAG, "value": NUMBER, "low": NUMBER, "high": NUMBER, "unit": TEXT, "n": COUNT,
        "family": TEXT, "p": NUMBER, "p_holm": NUMBER, "verdict": TEXT, "covers": TEXT,
    },
    ("method", "line", "measure", "level", "domain", "learning_rate", "strength", "interpolation"),
    ("scripts/measure_fronts.py",),
)  # fmt: skip

SEGMENTATION = Table(
    "segmentation",
    "a segmenter, seed, group of words and metric (shares); gold tells whose words they are",
    {
        "study": TEXT, "segmenter": TEXT, "seed": SEED, "reference": TEXT, "gold": FLAG,
        "group": TEXT, "metric": TEXT, "value": NUMBER, "n": COUNT,
    },
    ("segmenter", "seed", "group", "metric"),
    ("scripts/train_segmenter.py", "scripts/evaluate_segmentation.py"),
)  # fmt: skip

# ``gold`` is empty where no words were counted, so it is text. Tables of earlier releases, whose
# words were MeCab's, lack the last two columns.
TOKENIZERS = Table(
    "tokenizers",
    "a tokenizer, variant, seed, domain, script and metric; what needs no model has seed 0",
    {
        "study": TEXT, "tokenizer": TEXT, "variant": TEXT, "seed": SEED, "domain": TEXT,
        "script": TEXT, "metric": TEXT, "value": NUMBER, "unit": TEXT, "n": COUNT,
        "reference": Column("text", optional=True), "gold": Column("text", optional=True),
    },
    ("tokenizer", "variant", "seed", "domain", "script", "metric"),
    ("scripts/study_tokenizer.py", "scripts/study_models.py"),
)  # fmt: skip

# What is measured of one tokenizer before any model is trained with it: no study, variant or seed.
TOKENIZER_MEASURES = Table(
    "measures of a tokenizer",
    "a domain, script and metric",
    {name: column for name, column in TOKENIZERS.columns.items()
     if name not in ("study", "tokenizer", "variant", "seed")},
    ("domain", "script", "metric"),
    ("scripts/study_tokenizer.py",),
)  # fmt: skip

CLAIMS = Table(
    "claims",
    "a published claim with its verdict",
    {
        "study": TEXT, "id": TEXT, "source": TEXT, "label": TEXT, "kind": TEXT, "statement": TEXT,
        "relation": TEXT, "expected": NUMBER, "allowed_low": NUMBER, "allowed_high": NUMBER,
        "value": NUMBER, "half_width": NUMBER, "n": COUNT, "verdict": TEXT, "reason": TEXT,
        "unit": TEXT, "digits": COUNT, "expression": TEXT, "runs": TEXT,
    },
    ("id",),
    ("scripts/judge_claims.py",),
)  # fmt: skip

TASKS = Table(
    "tasks",
    "a method, seed, stage, downstream task and metric; chance and majority are methods of seed 0",
    {**METRICS.columns, "standard_error": NUMBER},
    METRICS.key,
    ("scripts/evaluate.py", "scripts/tabulate_tasks.py"),
    # Where no task could be reached.
    may_be_empty=True,
)

TASK_DATA = Table(
    "task_data",
    "a downstream task and a count of its items; those found in training text, of each domain",
    {"study": TEXT, "task": TEXT, "domain": TEXT, "measure": TEXT, "value": NUMBER},
    ("task", "domain", "measure"),
    ("scripts/prepare_task.py", "scripts/tabulate_tasks.py"),
)

# Tables that a study measures, in the order in which they are told; "card" is in a file of its own.
MEASURED = {
    table.name: table
    for table in (
        METRICS,
        BASELINES,
        EFFICIENCY,
        CURVES,
        CORPORA,
        GRID,
        SEGMENTATION,
        TOKENIZERS,
        TASKS,
        TASK_DATA,
        FRONTS,
    )
}

_OPTIONAL_TEXT, _OPTIONAL = Column("text", optional=True), Column("number", optional=True)
_MIB = Column("number", "MiB", optional=True)
# Of the parts of a GPU's benchmark, each in a file of its own with the columns that it measures.
GPU_BENCHMARK = Table(
    "card",
    "a case of the benchmark: what was trained, by what, in which batch and precision",
    {
        "stack": TEXT, "label": TEXT, "rows": COUNT, "length": COUNT, "precision": TEXT,
        "full": FLAG, "change": _OPTIONAL_TEXT, "repeat": _OPTIONAL, "commit": _OPTIONAL_TEXT,
        "kind": _OPTIONAL_TEXT, "layout": _OPTIONAL_TEXT, "model": _OPTIONAL_TEXT,
        "trainable_parameters": _OPTIONAL,
        "tokens_per_second": Column("number", "token/s", optional=True),
        "seconds_a_million_tokens": Column("number", "s", optional=True),
        "utilisation_percent": Column("number", "%", optional=True),
        "loader_percent": Column("number", "%", optional=True),
        "warmup_seconds": Column("number", "s", optional=True),
        "peak_mib": _MIB, "weights_mib": _MIB, "gradients_mib": _MIB, "optimiser_mib": _MIB,
        "activations_mib": _MIB, "held_mib": _MIB, "reserved_mib": _MIB,
        "warmup": _OPTIONAL, "steps": _OPTIONAL,
        "difference": _OPTIONAL, "tolerance": _OPTIONAL, "leak": _OPTIONAL,
        "first_loss": _OPTIONAL, "last_loss": _OPTIONAL,
        "devices": _OPTIONAL, "slowest": _OPTIONAL, "fastest": _OPTIONAL, "speedup": _OPTIONAL,
        "loss_difference": _OPTIONAL, "validation_difference": _OPTIONAL,
        "weights": _OPTIONAL_TEXT,
    },
    ("stack", "label", "rows", "length", "precision", "change", "repeat", "layout", "devices"),
    ("benchmarks/bench_gpu.py", "benchmarks/bench_two_gpus.py", "scripts/release_efficiency.py"),
    remedy="release the benchmark again (make release-efficiency)",
)  # fmt: skip

NUMBERS = Table(
    "numbers",
    "a number of the paper: its value, the ends of its interval and its printed form",
    {
        "name": TEXT, "value": NUMBER, "low": NUMBER, "high": NUMBER, "unit": TEXT,
        "printed": TEXT, "table": TEXT, "rows": TEXT,
    },
    ("name",),
    ("scripts/compute_numbers.py",),
)  # fmt: skip
