"""What the paper's template may say: measured values, and words chosen by comparing them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from jadapt.errors import UserError
from jadapt.reporting import summaries
from jadapt.reporting.labels import (
    BASE,
    LANGUAGES,
    SCRIPTS,
    domain_label,
    join_words,
    method_label,
)
from jadapt.reporting.statistics import LEVEL, Estimate, estimate, paired_difference

LESS, SAME, MORE = "less", "same", "more"


@dataclass(frozen=True)
class Tables:
    """The four tables of a study, as `jadapt.reporting.tables` reads them."""

    metrics: pd.DataFrame
    efficiency: pd.DataFrame
    curves: pd.DataFrame
    corpora: pd.DataFrame


@dataclass(frozen=True)
class Method:
    """One adapted model: how it was made, what it reached and what it cost.

    ``gain`` and ``loss`` are in bits per byte against the base model, ``retention`` a ratio,
    ``accuracy`` a share, ``memory`` in MiB, ``speed`` in tokens per second.
    """

    name: str
    label: str
    kind: str
    settings: dict[str, Any]
    gain: Estimate
    loss: Estimate
    retention: Estimate
    accuracy: Estimate
    trainable: int
    percent: float
    speed: Estimate
    memory: Estimate
    validation: Lowest | None


@dataclass(frozen=True)
class Lowest:
    """Where the mean validation loss of the last task was lowest, and how far it rose after."""

    loss: float
    tokens: int
    last: bool
    rise: float


@dataclass(frozen=True)
class Comparison:
    """One method against the reference: differences by seed, and which way they point."""

    method: Method
    reference: Method
    gain: Estimate
    loss: Estimate
    learned: str
    forgot: str
    speed_ratio: float
    memory_ratio: float


def direction(difference: Estimate) -> str:
    """Return ``less`` or ``more``; ``same`` when the interval holds zero or nothing is known."""
    if not math.isfinite(difference.mean) or difference.low <= 0 <= difference.high:
        return SAME
    return LESS if difference.mean < 0 else MORE


# A method that sets one of these for itself no longer sees what the others see.
BUDGET = ("steps", "global_batch_size", "sequence_length", "seed")


def setter(settings: dict) -> Callable[..., Any]:
    """Return a function that looks a dotted key up in the configuration, with a default."""

    def setting(key: str, default: Any = None) -> Any:
        value: Any = settings
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return default if value is None else value

    return setting


def methods(tables: Tables, settings: dict) -> list[Method]:
    """Return every adapted method of the metrics table, in the house order."""
    metrics, setting = tables.metrics, setter(settings)
    runs = summaries.learning_and_forgetting(metrics)
    home = summaries.home_domain(metrics)
    found = []
    for name in summaries.adapted(metrics):
        own = runs[runs["method"] == name]
        cost = tables.efficiency[tables.efficiency["method"] == name]
        if cost.empty:
            raise UserError(f"efficiency.csv: no row of method '{name}', which metrics.csv has")
        found.append(
            Method(
                name=name,
                label=method_label(name),
                kind=setting(f"methods.{name}.method", name),
                settings=setting(f"methods.{name}", {}),
                gain=estimate(own["gain"]),
                loss=estimate(own["loss"]),
                retention=estimate(summaries.by_seed(metrics, name, f"{home}_retention", home)),
                accuracy=estimate(summaries.task_mean(metrics, name, summaries.ACCURACY)),
                trainable=_whole(cost, "trainable_parameters"),
                percent=float(cost["trainable_percent"].mean()),
                speed=estimate(cost["tokens_per_second"]),
                memory=estimate(cost["peak_memory_mib"]),
                validation=lowest_validation(tables.curves, name),
            )
        )
    if not found:
        raise UserError(f"metrics.csv: no method besides '{BASE}'; there is nothing to compare")
    return found


def _whole(frame: pd.DataFrame, column: str) -> int:
    value = frame[column].mean()
    if not math.isfinite(value):
        raise UserError(f"efficiency.csv: column '{column}' has an empty cell")
    return round(value)


def lowest_validation(curves: pd.DataFrame, method: str) -> Lowest | None:
    """Find the lowest point of the mean validation loss on the last task; None without a curve."""
    rows = curves[(curves["method"] == method) & (curves["metric"] == "validation_loss")]
    if rows.empty:
        return None
    rows = rows[rows["task"] == rows["task"].iloc[-1]]
    line = rows.groupby("tokens")["value"].mean().dropna()
    if line.empty:
        return None
    best = line.idxmin()
    return Lowest(
        float(line[best]), int(best), best == line.index[-1], float(line.iloc[-1] - line[best])
    )


def compare(tables: Tables, found: list[Method]) -> list[Comparison]:
    """Compare every method with the reference: full fine-tuning, or else the first method."""
    reference = next((method for method in found if method.kind == "sft"), found[0])
    runs = summaries.learning_and_forgetting(tables.metrics).set_index("seed")
    old = runs[runs["method"] == reference.name]
    comparisons = []
    for method in found:
        if method is reference:
            continue
        new = runs[runs["method"] == method.name]
        gain = paired_difference(new["gain"], old["gain"])
        loss = paired_difference(new["loss"], old["loss"])
        comparisons.append(
            Comparison(
                method,
                reference,
                gain,
                loss,
                direction(gain),
                direction(loss),
                method.speed.mean / reference.speed.mean,
                method.memory.mean / reference.memory.mean,
            )
        )
    return comparisons


def scripts_by_accuracy(metrics: pd.DataFrame) -> list[tuple[str, float]]:
    """Return the scripts with their accuracy over all adapted models, the highest first."""
    values = summaries.accuracy_by_script(metrics)
    values = values[values["method"] != BASE]
    means = values.groupby("script")["value"].mean().sort_values(ascending=False)
    return [(SCRIPTS[script].split("\n")[0], float(mean)) for script, mean in means.items()]


def unreached(corpora: pd.DataFrame) -> list[str]:
    """Return the domains of which no source was available."""
    reached = corpora.groupby("domain", sort=False)["available"].any()
    return [domain_label(domain) for domain, available in reached.items() if not available]


def licences(corpora: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each licence with the sources under it and their attributions, as used."""
    used = corpora[corpora["available"]]
    found = []
    for licence, rows in used.groupby("licence", sort=False):
        notes = [note for note in rows["attribution"].unique() if note]
        found.append({"name": licence, "sources": list(rows["source"].unique()), "notes": notes})
    return found


def equal_budget(efficiency: pd.DataFrame, found: list[Method]) -> bool:
    """Tell whether all methods saw the same number of tokens in the same steps and batches."""
    adapted = efficiency[efficiency["method"] != BASE]
    alike = adapted["tokens"].nunique() == 1 and adapted["steps"].nunique() == 1
    return alike and not any(key in method.settings for method in found for key in BUDGET)


def overrides(settings: dict, found: list[Method]) -> list[tuple[str, str, Any]]:
    """Return (method, key, value) wherever a method changes a key of the shared recipe."""
    shared = setter(settings)("training", {})
    return [
        (method.label, key, value)
        for method in found
        for key, value in method.settings.items()
        if key in shared and isinstance(value, int | float | str)
    ]


def earlier_study(literature: dict) -> dict[str, Any]:
    """Return the published counts beside what the definition of LoRA requires."""
    try:
        study, rate = literature["earlier_study"], literature["lora_count"]["parameters_per_rank"]
        counts = {int(rank): int(n) for rank, n in study["parameters_by_rank"].items()}
        low, high = min(counts), max(counts)
        return {
            **study,
            "counted": rate * study["rank"],
            "low_rank": low,
            "high_rank": high,
            "rank_ratio": high / low,
            "count_ratio": counts[high] / counts[low],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"literature.yaml: key {error} is missing or malformed") from None


def context(tables: Tables, settings: dict, literature: dict) -> dict[str, Any]:
    """Return everything that the template may name, from the tables and the configuration."""
    metrics, efficiency, corpora = tables.metrics, tables.efficiency, tables.corpora
    found = methods(tables, settings)
    comparisons = compare(tables, found)
    home = summaries.home_domain(metrics)
    tasks = summaries.tasks(metrics)
    adapted = efficiency[efficiency["method"] != BASE]
    base = efficiency[efficiency["method"] == BASE]
    available = corpora[corpora["available"]]
    languages = available.groupby("language", sort=False)["characters"].sum()
    names = literature.get("names")
    if not isinstance(names, dict):
        raise UserError("literature.yaml: key 'names' is missing")
    return {
        "setting": setter(settings),
        "methods": found,
        "comparisons": comparisons,
        "kinds": {method.kind for method in found},
        "home": domain_label(home).capitalize(),
        "tasks": [domain_label(task) for task in tasks],
        "unreached": unreached(corpora),
        "seeds": int(metrics.loc[metrics["method"] != BASE, "seed"].nunique()),
        "steps": _whole(adapted, "steps"),
        "tokens": _whole(adapted, "tokens"),
        "equal_budget": equal_budget(efficiency, found),
        "overrides": overrides(settings, found),
        "level": LEVEL,
        "devices": sorted(set(adapted["device"])),
        # Without a run of its own, the base model is the smallest that the runs report.
        "base_parameters": int((base if len(base) else adapted)["parameters"].min()),
        "base_tokens": _whole(base, "tokens") if len(base) else None,
        "base_home_bits": estimate(summaries.by_seed(metrics, BASE, summaries.BITS, home)),
        "base_accuracy": estimate(summaries.task_mean(metrics, BASE, summaries.ACCURACY)),
        "base_task_bits": estimate(summaries.task_mean(metrics, BASE, summaries.BITS)),
        "most_learned": max(found, key=lambda method: method.gain.mean),
        "least_forgotten": min(found, key=lambda method: method.loss.mean),
        "scripts": scripts_by_accuracy(metrics),
        "sources": int(available["source"].nunique()),
        "languages": [
            (LANGUAGES.get(code, code), int(characters)) for code, characters in languages.items()
        ],
        "licences": licences(corpora),
        "earlier": earlier_study(literature),
        "literature": literature,
        "names": names,
        "join": join_words,
    }


def figure_path(folder: Path, name: str) -> Path:
    """Return the path of a figure that the text shows, which must exist."""
    path = folder / f"{name}.svg"
    if not path.is_file():
        raise UserError(f"{path}: no such figure; run its notebook first (snakemake fig_{name})")
    return path
