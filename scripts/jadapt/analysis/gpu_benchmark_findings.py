"""What the text says of measurements on one GPU: ratios, verdicts, and what was not measured."""

from __future__ import annotations

from typing import Any

import pandas as pd

from jadapt.analysis import gpu_benchmark, gpu_benchmark_gains, gpu_benchmark_tables
from jadapt.analysis.gpu_benchmark import (
    CHECKS,
    EARLIER,
    FULL_TUNING,
    GAINS,
    HERE,
    LOW_RANK,
    METHODS,
    PLAIN,
    PRECISION,
    PRECISIONS,
    SPEED,
    TWO_GPUS,
    at,
    batch_words,
    best_batch,
    first_seen,
    label_of,
    mid,
    where,
)
from jadapt.analysis.gpu_benchmark_gains import Ratio
from jadapt.analysis.gpu_benchmark_goals import Goal, judged
from jadapt.analysis.gpu_benchmark_tables import BEST_BATCH, SAME_BATCH
from jadapt.analysis.labels import join_words, lower_first
from jadapt.core.code_version import CHANGED

COMMIT_SHOWN = 12

# Parts of the benchmark that nothing was measured of.
ABSENT_PARTS = {
    CHECKS: "the comparison of the fast path with the plain one",
    SPEED: "the comparison with a plain loop at the same batch",
    GAINS: "the settings that make training fast, each alone",
    gpu_benchmark.BATCHES: "the comparison with a plain loop at larger batches",
    METHODS: "the methods at the batches of the earlier study",
    PRECISIONS: "the precisions",
}
SHAPE = "qwen2_5_500m"
SMALL_SHAPE = "smollm2_135m"


def context(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Return what the template may name of one GPU; nothing where none was measured."""
    if table is None:
        return None
    first = table.iloc[0]
    commits = str(first["commit"]).split()
    compared = (
        gpu_benchmark_tables.comparison_table(table) if gpu_benchmark.has(table, SPEED) else None
    )
    return {
        "device": first["device"],
        "known_shape": first["shape"] == SHAPE,
        "shape": first["shape"],
        "versions": first["versions"],
        "commits": [commit.removesuffix(CHANGED)[:COMMIT_SHOWN] for commit in commits],
        "changed": any(commit.endswith(CHANGED) for commit in commits),
        "warmup": first["warmup"],
        "steps": first["steps"],
        "rank": int(LOW_RANK.partition(" r")[2]),
        "methods": _methods(table),
        "low_rank_speed": _low_rank_speed(table),
        "compared": _compared(compared),
        "utilisation": _utilisation(table),
        "waiting": _waiting(table),
        "goals": _goals(table, compared),
        "gains": gpu_benchmark_gains.by_method(table),
        "gains_repeats": gpu_benchmark_gains.repeats(table),
        "gains_commit": _commit_of(table, GAINS) if len(commits) > 1 else None,
        "precisions": _precisions(table),
        "checks": _checks(table),
        "two": _two_gpus(table),
        "full": _cases(table[table["status"] == gpu_benchmark.FULL]),
        "absent": _absent(table),
    }


def _commit_of(table: pd.DataFrame, part: str) -> str | None:
    """Return the commit that a part was measured at, as the text shows it."""
    rows = where(table, part)
    found = rows["measured_at"].dropna().unique()
    return found[0].removesuffix(CHANGED)[:COMMIT_SHOWN] if len(found) == 1 else None


def _methods(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return the ends of the range of peaks at the first batch that was measured."""
    if not gpu_benchmark.has(table, METHODS):
        return None
    rows = where(table, METHODS)
    sizes = list(dict.fromkeys(zip(rows["rows"], rows["length"], strict=True)))
    batch = next((size for size in EARLIER if size in sizes), sizes[0])
    names = first_seen(rows, "label")
    here = {name: at(table, name, batch, parts=[METHODS]) for name in names}
    here = {name: part for name, part in here.items() if len(part)}
    peaks = sorted((mid(part, "peak_mib"), name) for name, part in here.items())
    speeds = sorted((mid(part, "tokens_per_second"), name) for name, part in here.items())
    pair = all(name in here for name in (FULL_TUNING, LOW_RANK))
    saved = gained = None
    if pair:
        peak, speed = (
            {name: mid(here[name], column) for name in (FULL_TUNING, LOW_RANK)}
            for column in ("peak_mib", "tokens_per_second")
        )
        saved = 1 - peak[LOW_RANK] / peak[FULL_TUNING]
        gained = speed[LOW_RANK] / speed[FULL_TUNING] - 1
    return {
        "count": len(names),
        "batch": batch_words(*batch),
        "earlier": batch in EARLIER,
        "figure": batch in EARLIER,
        "lowest": Ratio(_inner(peaks[0][1]), peaks[0][0]),
        "highest": Ratio(_inner(peaks[-1][1]), peaks[-1][0]),
        "slowest": Ratio(_inner(speeds[0][1]), speeds[0][0]),
        "fastest": Ratio(_inner(speeds[-1][1]), speeds[-1][0]),
        "saved": saved,
        "gained": gained,
    }


def _inner(name: str) -> str:
    return lower_first(label_of(name))


def _low_rank_speed(table: pd.DataFrame) -> list[Ratio]:
    """Return LoRA's tokens per second over those of full fine-tuning, by batch."""
    rows = where(table, (SPEED, METHODS, gpu_benchmark.BATCHES), stack=HERE, precision=PRECISION)
    found = []
    for batch in sorted(set(zip(rows["rows"], rows["length"], strict=True))):
        slow, fast = (
            mid(at(table, name, batch), "tokens_per_second") for name in (FULL_TUNING, LOW_RANK)
        )
        if fast == fast and slow == slow:
            found.append(Ratio(batch_words(*batch), fast / slow))
    return found


def _compared(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the ratios to a plain loop of the methods that were compared."""
    if frame is None:
        return []
    found = []
    for label in first_seen(frame, "trained"):
        of: dict[str, Any] = {"label": label_of(label)}
        for key, words in (("same", SAME_BATCH), ("best", BEST_BATCH)):
            rows = frame[(frame["trained"] == label) & (frame["compared"] == words)]
            of[key] = None
            if len(rows):
                row = rows.iloc[0]
                of[key] = {
                    "batch": row["batch_of:here"],
                    "speed": float(row["speed_of:ratio"]),
                    "peak": float(row["peak_of:ratio"]),
                }
        found.append(of)
    return found


def _utilisation(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the share of the card's peak that full fine-tuning and LoRA reach at their best."""
    found = []
    for name in (FULL_TUNING, LOW_RANK):
        batch = best_batch(table, name)
        value = mid(at(table, name, batch), "utilisation_percent") / 100
        if batch and value == value:
            found.append({"label": _inner(name), "batch": batch_words(*batch), "share": value})
    return found


def _waiting(table: pd.DataFrame) -> float | None:
    """Return the largest share of time that training waited for its rows."""
    rows = where(table, (SPEED, gpu_benchmark.BATCHES, METHODS), stack=HERE)
    largest = rows["loader_percent"].max() / 100
    return float(largest) if largest == largest else None


def _goals(table: pd.DataFrame, compared: pd.DataFrame | None) -> list[Goal]:
    """Return the goals that something was measured for."""
    values: dict[str, float | None] = {}
    for goal, label, words, column in (
        ("tuning_same_batch", FULL_TUNING, SAME_BATCH, "speed_of:ratio"),
        ("tuning_best_batch", FULL_TUNING, BEST_BATCH, "speed_of:ratio"),
        ("low_rank_same_batch", LOW_RANK, SAME_BATCH, "speed_of:ratio"),
        ("low_rank_memory", LOW_RANK, SAME_BATCH, "peak_of:ratio"),
    ):
        if compared is not None:
            chosen = (compared["trained"] == label) & (compared["compared"] == words)
            values[goal] = mid(compared[chosen], column)
    reached = [
        part["share"] for part in _utilisation(table) if part["label"] == _inner(FULL_TUNING)
    ]
    values["utilisation"] = reached[0] if reached else None
    values["loader"] = _waiting(table)
    faster = _low_rank_speed(table)
    values["low_rank_speed"] = min((ratio.value for ratio in faster), default=None)
    two = _two_gpus(table)
    values["two_gpus"] = two["lowest"].value if two else None
    return judged(values)


def _precisions(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return the fastest and the leanest precision by method, and whether quality was measured."""
    frame = gpu_benchmark_tables.precisions_table(table)
    frame = frame[frame["varied_speed"].notna()]
    if frame.empty:
        return None
    found = []
    for label in first_seen(frame, "trained"):
        rows = frame[frame["trained"] == label]
        fast, lean = (
            rows.loc[rows[column].agg(choose)]
            for column, choose in (("varied_speed", "idxmax"), ("varied_peak", "idxmin"))
        )
        found.append({
            "label": label_of(label),
            "fastest": Ratio(fast["precision"], float(fast["varied_speed"])),
            "leanest": Ratio(lean["precision"], float(lean["varied_peak"])),
        })  # fmt: skip
    return {
        "methods": found, "standard": PRECISION, "quality": gpu_benchmark_tables.quality(table),
    }  # fmt: skip


def _checks(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return how many comparisons of the fast path with the plain one hold, and which do not."""
    rows = where(table, CHECKS)
    if rows.empty:
        return None
    holds = rows["difference"] <= rows["tolerance"]
    broken = rows[~holds]
    return {
        "all": len(rows),
        "held": int(holds.sum()),
        "broken": [
            f"{row['kind']} of {_inner(row['label'])} in {row['precision']}"
            for _, row in broken.iterrows()
        ],
    }


def _two_gpus(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return the speed of two GPUs over that of one, of cases and windows, and losses' distance."""
    rows = where(table, TWO_GPUS)
    rows = rows[rows["devices"] > 1]
    if rows.empty:
        return None
    windows = rows["speedup"] * rows["slowest"] / rows["tokens_per_second"]

    def of(row: pd.Series, value: float) -> Ratio:
        batch = batch_words(row["rows"], row["length"])
        layout = gpu_benchmark_tables.LAYOUTS[row["layout"]]
        return Ratio(f"{_inner(row['label'])}, {layout}, {batch}", float(value))

    return {
        "devices": int(rows["devices"].max()),
        "model": rows["model"].iloc[0],
        "known_shape": rows["model"].iloc[0] == SMALL_SHAPE,
        "precision": rows["precision"].iloc[0],
        "commit": _commit_of(table, TWO_GPUS),
        "lowest": of(rows.loc[rows["speedup"].idxmin()], rows["speedup"].min()),
        "highest": of(rows.loc[rows["speedup"].idxmax()], rows["speedup"].max()),
        "slowest": of(rows.loc[windows.idxmin()], windows.min()),
        "difference": float(rows["loss_difference"].max()),
    }


def _absent(table: pd.DataFrame) -> list[str]:
    """Name what the benchmark has and nobody measured: whole parts, then single cases."""
    rows = table[table["status"] == gpu_benchmark.ABSENT]
    there = set(table.loc[table["status"] != gpu_benchmark.ABSENT, "part"])
    whole = [part for part in first_seen(rows, "part") if part not in there]
    named = [ABSENT_PARTS.get(part, part) for part in whole]
    return named + _cases(rows[~rows["part"].isin(whole)])


def _cases(rows: pd.DataFrame) -> list[str]:
    """Name cases in words, those that differ in the batch alone together."""
    found: dict[str, list[str]] = {}
    for _, row in rows.iterrows():
        words = _inner(row["label"])
        if row["stack"] == PLAIN:
            words += " in the plain loop"
        if row["part"] == GAINS:
            words += f" with {row['change']}"
        if row["part"] in (PRECISIONS, CHECKS):
            words += f" in {row['precision']}"
        if row["part"] == CHECKS:
            words = f"the check of {words}"
        sizes = found.setdefault(words, [])
        if (size := batch_words(row["rows"], row["length"])) not in sizes:
            sizes.append(size)
    return [f"{words} at {join_words(sizes)}" for words, sizes in found.items()]
