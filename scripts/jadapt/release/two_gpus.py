"""Release the results of `benchmarks/bench_two_gpus.py` as a part of a GPU's release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jadapt.release import gpu_benchmark
from jadapt.release.publish import few

PART = "two_gpus"
COMMAND = "make bench-two-gpus TWO_GPUS={}"
NEEDED = (
    "case", "layout", "method", "devices", "rows", "length", "precision", "windows", "losses",
    "validation_losses", "trainable_parameters", "peak_mib", "weights", *gpu_benchmark.OF_MACHINE,
)  # fmt: skip
KEPT = (
    "layout", "devices", "rows", "length", "precision", "trainable_parameters",
    "tokens_per_second", "slowest", "fastest", "speedup", "loss_difference",
    "validation_difference", "peak_mib", "weights", *gpu_benchmark.OF_MACHINE,
)  # fmt: skip


def read_rows(folder: Path) -> tuple[list[dict], list[str]]:
    """Read the rows of the benchmark as `jadapt.release.gpu_benchmark.read_rows` does."""
    return gpu_benchmark.read_rows(folder, NEEDED, COMMAND)


def faults(rows: list[dict], card: Mapping) -> list[str]:
    """Return the reasons why rows cannot be released with those of one GPU; empty if they can.

    Args:
        rows: rows of the benchmark, compared with one device (else ``speedup`` is None).
        card: any row of the benchmark of one GPU that is released with them.
    """
    found = []
    devices = {
        row["device"]
        for row in rows
        if row["device"].removeprefix(f"{row['devices']} x ") != card["device"]
    }
    if devices:
        found.append(f"rows of {few(sorted(devices))}, beside those of one {card['device']}")
    if len(commits := {row["commit"] for row in rows}) > 1:
        found.append(f"rows of more than one commit: {few(sorted(commits))}")
    known = card["versions"].split()
    if other := {pair for row in rows for pair in row["versions"].split() if pair not in known}:
        found.append(f"versions that one card was not measured with: {few(sorted(other))}")
    names = [f"{row['case']} at {row['rows']} x {row['length']}" for row in rows]
    alone = [name for name, row in zip(names, rows, strict=True) if row["speedup"] is None]
    if alone:
        found.append(f"nothing of one GPU to compare with: {few(alone)}")
    return found + gpu_benchmark.unfit(rows, names, "measure in a git working copy or its archive")


def as_part(rows: list[dict]) -> list[dict]:
    """Return compared rows in the form of a part of the release."""
    return [
        {
            "part": PART, "stack": "nemo", "label": row["label"], "full": False,
            "model": row["shape"], **{key: row[key] for key in KEPT},
        }
        for row in rows
    ]  # fmt: skip
