"""The table of bench_two_gpus.py, made from the measured rows."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

from gpu_tables import ROWS, read

from jadapt.core.errors import UserError
from jadapt.core.files import atomic

DEVICES = {"one": 1, "ddp": 2, "fsdp2": 2}
# By name, what the benchmark of one card calls the same.
METHODS = {"sft": "sft", "lora": "lora r16"}
COLUMNS = [
    "method", "layout", "devices", "rows", "length", "precision", "tokens_per_second", "slowest",
    "fastest", "speedup", "loss_difference", "validation_difference", "first_loss", "last_loss",
    "peak_mib", "loading_seconds", "warmup_seconds", "trainable_parameters", "device", "shape",
    "weights", "versions", "commit",
]  # fmt: skip


def write(output: Path) -> None:
    """Write ``two_gpus.csv`` and print it."""
    rows = compared(read(output / ROWS))
    if not rows:
        raise UserError(f"{output}: nothing measured; see the .log files there")
    with (
        atomic(output / "two_gpus.csv") as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{rows[-1]['device']}, {rows[-1]['shape']}, weights: {rows[-1]['weights']}")
    for row in rows:
        print("  " + line(row))


def compared(rows: list[dict]) -> list[dict]:
    """Add what the windows of a row say, and how it compares with one device in the same state.

    Differences are the largest of all steps, relative to one device's loss.
    """
    found = []
    for row in rows:
        same = ("method", "shape", "weights", "commit", "rows", "length", "precision")
        one = next(
            (r for r in rows if r["layout"] == "one" and all(r[k] == row[k] for k in same)), None
        )
        speeds = row["windows"]
        found.append(
            row
            | {
                "label": METHODS[row["method"]],
                "tokens_per_second": median(speeds),
                "slowest": min(speeds),
                "fastest": max(speeds),
                "speedup": median(speeds) / median(one["windows"]) if one else None,
                "loss_difference": _difference(one, row, "losses"),
                "validation_difference": _difference(one, row, "validation_losses"),
                "first_loss": row["losses"][0],
                "last_loss": row["losses"][-1],
            }
        )
    return found


def _difference(one: dict | None, row: dict, key: str) -> float | None:
    if one is None:
        return None
    return max(abs(b - a) / abs(a) for a, b in zip(one[key], row[key], strict=True))


def line(row: dict) -> str:
    """Return a row for the eye."""
    text = (
        f"{row['method']:5} {row['layout']:6} {row['devices']} x {row['rows']} x {row['length']} "
        f"{row['precision']} {row['tokens_per_second']:>12,.0f} tokens/s "
        f"({row['slowest']:,.0f} to {row['fastest']:,.0f}), peak {row['peak_mib']:,.0f} MiB a "
        f"device, loss {row['first_loss']:.4f} to {row['last_loss']:.4f}"
    )
    if row["layout"] == "one" or row["speedup"] is None:
        return text
    return (
        f"{text}; {row['speedup']:.2f} x one, loss within {row['loss_difference']:.1e} "
        f"(validation {row['validation_difference']:.1e})"
    )
