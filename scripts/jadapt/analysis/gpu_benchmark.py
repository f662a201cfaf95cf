"""What was measured on one GPU by itself: the released rows of the benchmark, read and looked up.

All parts are one table: ``part`` says of which CSV a row is, its index counts the rows of that
file. ``status`` is `MEASURED`, `FULL` where the memory was too small, or `ABSENT` for a case that
the benchmark has and nobody measured. Memory is in MiB, a batch in rows and tokens a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from jadapt.analysis.labels import join_words, method_label
from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import read_json
from jadapt.core.released import CARD_FORMAT, MACHINE, card_parts
from jadapt.core.tables import GPU_BENCHMARK

MEASURED, FULL, ABSENT = "measured", "full", "absent"
CHECKS, SPEED, GAINS, BATCHES, METHODS, PRECISIONS, TWO_GPUS = (
    "checks", "speed", "gains", "batches", "methods", "precisions", "two_gpus",
)  # fmt: skip
HERE, PLAIN = "nemo", "transformers"
FULL_TUNING, LOW_RANK = "sft", "lora r16"
# The batches of the earlier study, and the precision that all parts but one are measured in.
EARLIER = ((2, 2048), (4, 2048))
PRECISION = "bf16-true"
PARTS_OF_MEMORY = ("weights", "gradients", "optimiser", "activations")
TEXT = ("part", "stack", "label", "change", "precision", "kind", "status", "layout", "model")
OF_MACHINE = ("device", "commit", "shape")
NUMBERS = (
    "trainable_parameters", "tokens_per_second", "seconds_a_million_tokens",
    "utilisation_percent", "loader_percent", "peak_mib",
    *(f"{part}_mib" for part in PARTS_OF_MEMORY), "difference", "tolerance", "leak",
    "devices", "speedup", "slowest", "loss_difference",
)  # fmt: skip


def read(record: str | Path) -> pd.DataFrame:
    """Read a released folder by its ``SHA256SUMS``, every file as it was released.

    Raises:
        UserError: a file is missing, was changed, or is no such table.
    """
    folder = Path(record).parent
    if found := checksums.folder_fault(folder):
        raise UserError(f"{found}; git checkout {folder}")
    machine = read_json(folder / MACHINE)
    if machine.get("format_version") != CARD_FORMAT:
        raise UserError(
            f"{folder / MACHINE}: format_version {machine.get('format_version')}, expected "
            f"{CARD_FORMAT}; release the benchmark again (make release-efficiency)"
        )
    parts = [_part(folder / f"{name}.csv") for name in card_parts(record)]
    if not parts:
        raise UserError(f"{folder}: no table of a part; release again (make release-efficiency)")
    absent = pd.DataFrame(machine["not_measured"]).assign(status=ABSENT)
    table = pd.concat([*parts, absent] if machine["not_measured"] else parts)
    for name in NUMBERS:
        table[name] = pd.to_numeric(table[name]) if name in table else float("nan")
    for name in ("change", "kind", "layout", "model"):
        if name not in table:
            table[name] = ""
    for name in TEXT:
        table[name] = table[name].fillna("").astype(str)
    about = {name: str(machine[name]) for name in OF_MACHINE}
    about["versions"] = join_words(f"{name} {text}" for name, text in machine["versions"].items())
    for name in ("warmup", "steps"):
        about[name] = str(machine.get(name, ""))
    # Of several commits, each row says its own.
    own = table["commit"] if "commit" in table else machine["commit"]
    table = table.assign(measured_at=own, **about)
    # The benchmark of two GPUs has steps of its own.
    table.loc[table["part"] == TWO_GPUS, ["warmup", "steps"]] = ""
    return table


def _part(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(
        path, keep_default_na=False, na_values=[""], float_precision="round_trip"
    )  # fmt: skip
    GPU_BENCHMARK.check(frame.columns, path)
    # A part of which every row is full has no numbers, so its columns may be missing.
    status = frame["full"].map({True: FULL, False: MEASURED})
    return frame.drop(columns="full").assign(part=path.stem, status=status)


def label_of(name: str) -> str:
    """Return the name of what the benchmark trains: ``lora r16`` is ``LoRA, rank 16``."""
    method, rank_of, rank = str(name).partition(" r")
    return f"{method_label(method)}, rank {rank}" if rank_of else method_label(method)


def batch_words(rows: float, length: float) -> str:
    """Return a batch as it is printed: ``2 × 2,048``."""
    return f"{int(rows)} × {int(length):,}"


def where(
    table: pd.DataFrame, part: str | Iterable[str], status: str = MEASURED, **values: object
) -> pd.DataFrame:
    """Return the rows of parts with a status and these values of other columns."""
    parts = [part] if isinstance(part, str) else list(part)
    chosen = table["part"].isin(parts) & (table["status"] == status)
    for name, value in values.items():
        chosen &= table[name] == value
    return table[chosen]


def has(table: pd.DataFrame | None, part: str) -> bool:
    """Tell whether anything of a part was measured."""
    return table is not None and not where(table, part).empty


def mid(rows: pd.DataFrame, column: str) -> float:
    """Return the median over repeats of a measurement; NaN for none."""
    values = rows[column].dropna()
    return float(values.median()) if len(values) else float("nan")


def first_seen(rows: pd.DataFrame, column: str) -> list:
    """Return the values of a column in the order of the benchmark, each once."""
    return list(dict.fromkeys(rows[column]))


def best_batch(
    table: pd.DataFrame, label: str, stack: str = HERE, parts: Iterable[str] | None = None
) -> tuple[int, int] | None:
    """Return the batch of the most tokens per second (median over repeats), or None."""
    parts = list(parts or (METHODS, SPEED, BATCHES))
    rows = where(table, parts, label=label, stack=stack, precision=PRECISION)
    if rows.empty:
        return None
    speeds = rows.groupby(["rows", "length"], sort=False)["tokens_per_second"].median()
    rows_, length = speeds.idxmax()
    return int(rows_), int(length)


def at(
    table: pd.DataFrame,
    label: str,
    batch: tuple[int, int] | None,
    stack: str = HERE,
    parts: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Return the measured rows of a method at a batch."""
    if batch is None:
        return table.iloc[:0]
    parts = list(parts or (METHODS, SPEED, BATCHES))
    return where(
        table, parts, label=label, stack=stack, precision=PRECISION, rows=batch[0], length=batch[1]
    )
