"""The printed tables of what was measured on one GPU (see `jadapt.analysis.gpu_benchmark`)."""

from __future__ import annotations

import pandas as pd

from jadapt.analysis import gpu_benchmark
from jadapt.analysis.gpu_benchmark import (
    BATCHES,
    CHECKS,
    EARLIER,
    FULL,
    FULL_TUNING,
    GAINS,
    HERE,
    LOW_RANK,
    METHODS,
    PARTS_OF_MEMORY,
    PLAIN,
    PRECISION,
    PRECISIONS,
    SPEED,
    TWO_GPUS,
    at,
    batch_words,
    best_batch,
    first_seen,
    mid,
    where,
)
from jadapt.analysis.printing import MARK

FULL_WORDS = "out of memory"
BEST = "best"
NOTHING = "none"
SAME_BATCH, BEST_BATCH = "the same batch", "the best of each"
METHOD_COLUMNS = (
    "peak_mib", *(f"{part}_mib" for part in PARTS_OF_MEMORY), "tokens_per_second",
    "utilisation_percent", "seconds_a_million_tokens",
)  # fmt: skip
# A measure of quality, where the benchmark has one.
LOSSES = ("last_loss", "final_loss", "loss")
# How two GPUs share a step.
LAYOUTS = {"one": "one GPU", "ddp": "data parallel", "fsdp2": "FSDP2"}
# Both methods that the parts other than the table of methods compare.
PAIR = (FULL_TUNING, LOW_RANK)


def methods_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a method and batch: the two of the earlier study and the method's best.

    What was not measured has no row; what did not fit has one that says so.
    """
    found = []
    for label in first_seen(table[table["part"] == METHODS], "label"):
        best = best_batch(table, label)
        batches = list(dict.fromkeys([*EARLIER, *([best] if best else [])]))
        for batch in batches:
            rows = at(table, label, batch, parts=[METHODS])
            rows = rows if len(rows) else at(table, label, batch)
            size = {"rows": batch[0], "length": batch[1]}
            full = where(table, METHODS, FULL, label=label, **size)
            if rows.empty and full.empty:
                continue
            words = batch_words(*batch) + (f", {BEST}" if batch == best else "")
            found.append({
                "trained": label,
                "trainable_parameters": _count(table, label),
                "batch": words,
                **{name: mid(rows, name) for name in METHOD_COLUMNS},
                f"peak_mib:{MARK}": FULL_WORDS if rows.empty else "",
            })  # fmt: skip
    names = ["trained", "trainable_parameters", "batch", *METHOD_COLUMNS, f"peak_mib:{MARK}"]
    frame = pd.DataFrame(found, columns=names)
    # Every other row of a method would repeat its parameters: a number without a mark is blank.
    frame.loc[frame["trained"].duplicated(), "trainable_parameters"] = float("nan")
    return frame.assign(**{f"trainable_parameters:{MARK}": ""})


def _count(table: pd.DataFrame, label: str) -> float:
    return mid(where(table, (METHODS, SPEED, BATCHES), label=label), "trainable_parameters")


def comparison_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return how this program compares with a plain loop: at one batch, and best against best."""
    found = []
    for label in PAIR:
        same = where(table, SPEED, label=label)
        batches = [tuple(pair) for pair in same[["rows", "length"]].drop_duplicates().to_numpy()]
        compared: list[tuple[str, dict, list[str]]] = [
            (SAME_BATCH, {PLAIN: batch, HERE: batch}, [SPEED]) for batch in batches
        ]
        if not where(table, BATCHES, label=label).empty:
            parts = [SPEED, BATCHES]
            best = {stack: best_batch(table, label, stack, parts) for stack in (PLAIN, HERE)}
            compared.append((BEST_BATCH, best, parts))
        for words, batch, parts in compared:
            rows = {stack: at(table, label, batch[stack], stack, parts) for stack in batch}
            if any(part.empty for part in rows.values()):
                continue
            speed, peak = (
                {stack: mid(part, column) for stack, part in rows.items()}
                for column in ("tokens_per_second", "peak_mib")
            )
            found.append({
                "trained": label, "compared": words,
                "batch_of:plain": batch_words(*batch[PLAIN]),
                "batch_of:here": batch_words(*batch[HERE]),
                "speed_of:plain": speed[PLAIN], "speed_of:here": speed[HERE],
                "speed_of:ratio": speed[HERE] / speed[PLAIN],
                "peak_of:plain": peak[PLAIN], "peak_of:here": peak[HERE],
                "peak_of:ratio": peak[HERE] / peak[PLAIN],
            })  # fmt: skip
    return pd.DataFrame(found, columns=[
        "trained", "compared", "batch_of:plain", "batch_of:here", "speed_of:plain",
        "speed_of:here", "speed_of:ratio", "peak_of:plain", "peak_of:here", "peak_of:ratio",
    ])  # fmt: skip


def gains_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each fast setting does alone, against none of them; those at the end are many."""
    rows = table[(table["part"] == GAINS) & (table["status"] != gpu_benchmark.ABSENT)]
    return _varied(table, rows, GAINS, "change", NOTHING)


def precisions_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return training in each precision, against `PRECISION`."""
    rows = table[(table["part"] == PRECISIONS) & (table["status"] != gpu_benchmark.ABSENT)]
    frame = _varied(table, rows, PRECISIONS, "precision", PRECISION)
    part = quality(table)
    column = _loss_column(where(table, part)) if part else None
    if part and column:
        frame["training_loss_at_end"] = [
            mid(where(table, part, label=row["trained"], precision=row["precision"]), column)
            for _, row in frame.iterrows()
        ]
    return frame


def two_gpus_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the speed of two GPUs beside one with as many rows a GPU, and how losses differ.

    A loss is compared with that of one GPU that takes the same rows per step.
    """
    rows = where(table, TWO_GPUS)
    places = rows["label"].map(first_seen(rows, "label").index)
    rows = rows.assign(place=places).sort_values(["place", "rows", "length"], kind="stable")
    return pd.DataFrame({
        "trained": rows["label"],
        "batch": [batch_words(*size) for size in zip(rows["rows"], rows["length"], strict=True)],
        "layout": rows["layout"].map(LAYOUTS),
        "varied_speed": rows["tokens_per_second"],
        "slowest_speed": rows["slowest"],
        "speed_ratio": rows["speedup"],
        "memory_a_device": rows["peak_mib"],
        "loss_within": rows["loss_difference"].where(rows["devices"] > 1),
    }).reset_index(drop=True)  # fmt: skip


def quality(table: pd.DataFrame) -> str | None:
    """Return the part whose training losses compare precisions: their own, or else the checks'."""
    return next((part for part in (PRECISIONS, CHECKS) if _loss_column(where(table, part))), None)


def _loss_column(rows: pd.DataFrame) -> str | None:
    return next((name for name in LOSSES if name in rows and rows[name].notna().any()), None)


def _varied(
    table: pd.DataFrame, rows: pd.DataFrame, part: str, column: str, standard: str
) -> pd.DataFrame:
    found = []
    for label, value in dict.fromkeys(zip(rows["label"], rows[column], strict=True)):
        own = where(table, part, label=label, **{column: value})
        against = where(table, part, label=label, **{column: standard})
        speed, peak = mid(own, "tokens_per_second"), mid(own, "peak_mib")
        found.append({
            "trained": label, column: value,
            "varied_speed": speed, f"varied_speed:{MARK}": "" if len(own) else FULL_WORDS,
            "speed_ratio": speed / mid(against, "tokens_per_second"),
            "varied_peak": peak, "peak_ratio": peak / mid(against, "peak_mib"),
        })  # fmt: skip
    names = ["varied_speed", f"varied_speed:{MARK}", "speed_ratio", "varied_peak", "peak_ratio"]
    frame = pd.DataFrame(found, columns=["trained", column, *names])
    # What failed at first was measured after all others.
    places = frame["trained"].map(list(frame["trained"].unique()).index)
    return frame.loc[places.sort_values(kind="stable").index].reset_index(drop=True)
