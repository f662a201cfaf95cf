"""The tables of bench_gpu.py, made from the measured rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from statistics import median

from jadapt.core.errors import UserError
from jadapt.core.files import atomic, read_log, write_text

ROWS = "rows.jsonl"
COLUMNS = [
    "stack", "label", "change", "precision", "rows", "length", "repeat", "full",
    "trainable_parameters", "tokens_per_second", "seconds_a_million_tokens",
    "utilisation_percent", "loader_percent", "warmup_seconds", "peak_mib", "weights_mib",
    "gradients_mib", "optimiser_mib", "activations_mib", "held_mib", "device",
    "shape", "versions", "commit",
]  # fmt: skip
CHECKS = [
    "label", "kind", "precision", "rows", "length", "difference", "tolerance", "leak",
    "first_loss", "last_loss", "device", "shape", "versions", "commit",
]  # fmt: skip


def read(path: Path) -> list[dict]:
    """Read the rows of earlier calls; one cut off by the end of a process is taken away."""
    rows = read_log(path)
    if path.exists():
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return rows


def write(output: Path) -> None:
    """Write a CSV a part and print the comparisons."""
    rows = read(output / ROWS)
    if not rows:
        raise UserError(f"{output}: nothing measured yet")
    for part in dict.fromkeys(row["part"] for row in rows):
        with (
            atomic(output / f"{part}.csv") as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as stream,
        ):
            columns = CHECKS if part == "checks" else COLUMNS
            writer = csv.DictWriter(
                stream, columns, extrasaction="ignore", lineterminator="\n", restval=""
            )
            writer.writeheader()
            writer.writerows(row for row in rows if row["part"] == part)
        print(f"\n{part}, {rows[-1]['device']}")
        for row in rows:
            if row["part"] == part:
                print("  " + line(row))
    for text in ratios(rows):
        print(text)


def line(row: dict) -> str:
    """Return a row for the eye."""
    name = " ".join(filter(None, [row["stack"], row["label"], row["change"], row["precision"]]))
    head = f"{name:48} {row['rows']:3d} x {row['length']:<5d}"
    if row["full"]:
        return f"{head} out of memory"
    if "difference" in row:
        verdict = "holds" if row["difference"] <= row["tolerance"] else "DOES NOT HOLD"
        leak = f", leak {row['leak']:.2g}" if row.get("leak") is not None else ""
        return (
            f"{head} {row['kind']}: {row['difference']:.2g} ({row['tolerance']:g}){leak} {verdict}"
        )
    used = row["utilisation_percent"]
    return (
        f"{head} {row['tokens_per_second']:>10,.0f} tokens/s {row['peak_mib']:>9,.0f} MiB"
        f" (weights {row['weights_mib']:,.0f}, gradients {row['gradients_mib']:,.0f}, optimiser "
        f"{row['optimiser_mib']:,.0f}, activations {row['activations_mib']:,.0f})"
        + (f" {used:.1f} % of peak" if used else "")
    )


def ratios(rows: list[dict]) -> list[str]:
    """Return how the two stacks compare at the same batch and each at its best."""
    texts = []
    fitting = [row for row in rows if not row["full"] and row["part"] in ("speed", "batches")]
    for label in dict.fromkeys(row["label"] for row in fitting):
        of = {
            stack: [row for row in fitting if (row["label"], row["stack"]) == (label, stack)]
            for stack in ("nemo", "transformers")
        }
        if not all(of.values()):
            continue
        same = {
            stack: [row for row in found if row["part"] == "speed"] for stack, found in of.items()
        }
        if all(same.values()):
            speed, peak = (
                _median(same["nemo"], key) / _median(same["transformers"], key)
                for key in ("tokens_per_second", "peak_mib")
            )
            texts.append(f"{label}, same batch: {speed:.2f} x the tokens/s, {peak:.2f} x the peak")
        best = [max(row["tokens_per_second"] for row in of[s]) for s in ("nemo", "transformers")]
        texts.append(f"{label}, best batch: {best[0] / best[1]:.2f} x the tokens/s")
    return texts


def _median(rows: list[dict], key: str) -> float:
    return median(row[key] for row in rows)
