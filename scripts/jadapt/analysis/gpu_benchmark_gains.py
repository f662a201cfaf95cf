"""What the text says of the settings that make training fast: which gain, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from jadapt.analysis import gpu_benchmark, gpu_benchmark_tables
from jadapt.analysis.gpu_benchmark import GAINS, PLAIN, SPEED, first_seen, label_of, where
from jadapt.analysis.gpu_benchmark_tables import NOTHING


@dataclass(frozen=True)
class Ratio:
    """A ratio of two measurements and what it is of."""

    label: str
    value: float


def repeats(table: pd.DataFrame) -> int:
    """Return how often every setting was measured; 0 if never."""
    return int(where(table, GAINS)["repeat"].max()) + 1 if gpu_benchmark.has(table, GAINS) else 0


def by_method(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, by method, the ratio of each fast setting alone, and which of them helped.

    Ratios nearer to one than measurements of one and the same are to each other tell neither.
    """
    frame = gpu_benchmark_tables.gains_table(table)
    found = []
    for label in first_seen(frame, "trained"):
        rows = frame[(frame["trained"] == label) & frame["speed_ratio"].notna()]
        alone = rows[~rows["change"].str.startswith("all") & (rows["change"] != NOTHING)]
        every = rows[rows["change"] == "all"]
        ratios = [Ratio(*pair) for pair in zip(alone["change"], alone["speed_ratio"], strict=True)]
        noise = _noise(table, label)
        if ratios:
            found.append({
                "label": label_of(label),
                "noise": noise,
                "faster": [ratio for ratio in ratios if ratio.value > 1 + noise],
                "slower": [ratio for ratio in ratios if ratio.value < 1 / (1 + noise)],
                "near": [ratio for ratio in ratios if 1 / (1 + noise) <= ratio.value <= 1 + noise],
                "all": float(every["speed_ratio"].iloc[0]) if len(every) else None,
            })  # fmt: skip
    return found


def _noise(table: pd.DataFrame, label: str) -> float:
    """Return by how much measurements of the same speed differ at most, largest over smallest - 1.

    Where the settings were measured once, it is that of the plain loop, which waits for the host as
    they do.
    """
    rows, same = where(table, GAINS, label=label), "change"
    if rows.groupby(same).size().max() < 2:
        rows, same = where(table, SPEED, label=label, stack=PLAIN), "stack"
    speeds = rows.groupby(same)["tokens_per_second"]
    differing = speeds.max() / speeds.min() - 1
    return float(differing.max()) if len(differing) else 0.0
