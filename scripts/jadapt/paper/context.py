"""What the paper's template may say: measured values, and words chosen by comparing them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from jadapt.analysis import (
    comparisons,
    dynamics,
    findings,
    front_findings,
    gpu_benchmark_findings,
    gpu_benchmark_goals,
    rate_search,
    segmentation_tables,
    summaries,
    tokenizer_tables,
    transfer_tables,
)
from jadapt.analysis.adapted_models import (
    Method,
    Run,
    Tables,
    lowest_validation,
    methods,
    paragraphs,
    setter,
    whole,
)
from jadapt.analysis.comparisons import direction
from jadapt.analysis.labels import (
    BASE,
    LANGUAGES,
    SCRIPTS,
    domain_label,
    join_words,
    lower_first,
)
from jadapt.analysis.statistics import LEVEL, estimate
from jadapt.core.errors import UserError

__all__ = ["Tables", "context", "direction", "earlier_study", "figure_path", "lowest_validation"]

# A method that sets one of these for itself no longer sees what the others see.
BUDGET = ("steps", "global_batch_size", "sequence_length", "seed")
# Keys of a run's entry that are told elsewhere in the text than among its hyperparameters.
NO_HYPERPARAMETER = ("method", "learning_rate", "continual")


def scripts_by(metrics: pd.DataFrame, metric: str) -> list[tuple[str, float]]:
    """Return the scripts with their mean of a metric over all adapted models, the highest first."""
    values = summaries.by_script(metrics, metric)
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
        if key in shared and key not in NO_HYPERPARAMETER and isinstance(value, int | float | str)
    ]


def hyperparameters(settings: dict, method: Run) -> list[tuple[str, Any]]:
    """Return what a run's entry sets, as (words, value), those of its strategies last.

    Values are numbers and words; a list stands for its length.
    """
    shared = setter(settings)("training", {})
    own = [
        (key, value)
        for key, value in method.settings.items()
        if key not in NO_HYPERPARAMETER and key not in shared
    ]
    for strategy in method.strategies:
        entry = method.settings["continual"][strategy] or {}
        own += list(entry.items())
    return [(key.replace("_", " "), _in_words(value)) for key, value in own if value is not None]


def _in_words(value: Any) -> int | float | str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return len(value) if isinstance(value, list | dict) else value


def fisher_labels(found: Sequence[Run]) -> set[str]:
    """Return whose labels Fisher information is estimated with: ``sampled`` or ``empirical``."""
    entries = [
        method.settings["continual"][name] or {} for method in found for name in method.strategies
    ]
    return {entry["fisher"] for entry in entries if "fisher" in entry}


def learning_rates(method: Run) -> list[float]:
    """Return the rates that a run's entry lists; a single number is a list of one."""
    given = method.settings.get("learning_rate", [])
    return [float(rate) for rate in (given if isinstance(given, list) else [given])]


def groups(items: Iterable[Any], key: Callable[[Any], Any]) -> list[tuple[Any, list[Any]]]:
    """Return items with equal keys together, in order of appearance."""
    found: dict[Any, list[Any]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.items())


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
    names = names_of(literature)
    found = methods(tables, settings)
    measured = {
        key: value
        for part in PARTS.values()
        for key, value in part(tables, settings, found).items()
    }
    said = findings.find(tables)
    # A model made here from nothing, in minutes, checks the instrument.
    instrument = setter(settings)("model.kind") == "scratch"
    return {
        "setting": setter(settings),
        **measured,
        "findings": said,
        "instrument": instrument,
        "ranks": not instrument and _true_or_unknown(said.known("models_beat_ngram")),
        "earlier": earlier_study(literature),
        "literature": literature,
        "card_goals": gpu_benchmark_goals.GOALS,
        "names": names,
        "join": join_words,
    }


def _true_or_unknown(known: findings.Finding | None) -> bool:
    return known is None or bool(known.value)


# What the tables of measurements say, part by part.
PARTS: dict[str, Callable[[Tables, dict, list[Method]], dict[str, Any]]] = {
    "described": lambda tables, settings, found: described(tables, settings, found),
    "before": lambda tables, settings, found: before(tables),
    "results": lambda tables, settings, found: _results(tables, found),
    "grid": lambda tables, settings, found: _grid(tables, found),
    "course": lambda tables, settings, found: {"course": dynamics.summary(tables.curves)},
    "segmentation": lambda tables, settings, found: {
        "segmentation": segmentation_tables.context(tables.segmentation)
    },
    "tokenizers": lambda tables, settings, found: {
        "tokenizers": tokenizer_tables.context(tables.tokenizers)
    },
    "fronts": lambda tables, settings, found: {
        "fronts_only": False,
        "fronts": _fronts(tables.front_measures, settings),
    },
    "card": lambda tables, settings, found: {"card": gpu_benchmark_findings.context(tables.card)},
}


def _fronts(measures: pd.DataFrame | None, settings: dict) -> dict[str, Any] | None:
    return None if measures is None else front_findings.context(measures, settings)


def names_of(literature: dict) -> dict[str, str]:
    """Return the proper names that the text uses."""
    names = literature.get("names")
    if not isinstance(names, dict):
        raise UserError("literature.yaml: key 'names' is missing")
    return names


def configured(settings: dict, found: Sequence[Run]) -> dict[str, Any]:
    """Return what the runs of a study are."""
    return {
        "methods": found,
        "kinds": {run.kind for run in found},
        "paragraphs": paragraphs(found),
        "strategies": {name for run in found for name in run.strategies},
        "of_strategy": lambda name: [run for run in found if name in run.strategies],
        "of_kind": lambda *kinds: [run for run in found if run.kind in kinds],
        "fisher_labels": fisher_labels(found),
        "hyperparameters": lambda run: hyperparameters(settings, run),
    }


def described(tables: Tables, settings: dict, found: list[Method]) -> dict[str, Any]:
    """Return what was run: methods, tasks, text, budget."""
    metrics, efficiency, corpora = tables.metrics, tables.efficiency, tables.corpora
    adapted = efficiency[efficiency["method"] != BASE]
    available = corpora[corpora["available"]]
    languages = available.groupby("language", sort=False)["characters"].sum()
    return {
        **configured(settings, found),
        "rate_groups": groups(found, lambda method: tuple(learning_rates(method))),
        "home": domain_label(summaries.home_domain(metrics)).capitalize(),
        "tasks": [domain_label(task) for task in summaries.tasks(metrics)],
        "unreached": unreached(corpora),
        "seeds": int(metrics.loc[metrics["method"] != BASE, "seed"].nunique()),
        "steps": whole(adapted, "steps"),
        "tokens": whole(adapted, "tokens"),
        "equal_budget": equal_budget(efficiency, found),
        "overrides": overrides(settings, found),
        "level": LEVEL,
        "devices": sorted(set(adapted["device"])),
        "scripts": scripts_by(metrics, summaries.ACCURACY),
        "script_bits": scripts_by(metrics, summaries.CHARACTER_BITS),
        "sources": int(available["source"].nunique()),
        "languages": [(code, LANGUAGES.get(code, code)) for code in languages.index],
        "licences": licences(corpora),
    }


def before(tables: Tables) -> dict[str, Any]:
    """Return what the base model is and does."""
    metrics, efficiency = tables.metrics, tables.efficiency
    base = efficiency[efficiency["method"] == BASE]
    adapted = efficiency[efficiency["method"] != BASE]
    home = summaries.home_domain(metrics)
    return {
        # Without a run of its own, the base model is the smallest that the runs report.
        "base_parameters": int((base if len(base) else adapted)["parameters"].min()),
        "base_tokens": whole(base, "tokens") if len(base) else None,
        "base_home_bits": estimate(summaries.by_seed(metrics, BASE, summaries.BITS, home)),
        "base_accuracy": estimate(summaries.task_mean(metrics, BASE, summaries.ACCURACY)),
        "base_task_bits": estimate(summaries.task_mean(metrics, BASE, summaries.BITS)),
    }


def _results(tables: Tables, found: list[Method]) -> dict[str, Any]:
    """Return how the methods compare after the last task."""
    finite = [method for method in found if not method.diverged]
    reference = reference_run(tables, found)
    compared, composed = [], []
    if reference in finite:
        compared = comparisons.compare(finite, reference)
        composed = comparisons.compositions(finite, reference)
    joint = next((method for method in finite if method.joint), None)
    rivals = [method for method in finite if not method.joint]
    return {
        "finite": finite,
        "diverged": [method for method in found if method.diverged],
        "reference": reference,
        "comparisons": compared,
        "compositions": composed,
        "tests": comparisons.tests_made(compared),
        "grouped": comparisons.grouped,
        "leaders": comparisons.leaders(finite),
        "told": [method for method in finite if method.with_task],
        "joint": joint,
        "beyond_joint": {
            "gain": [m for m in rivals if joint and m.gain.mean > joint.gain.mean],
            "loss": [m for m in rivals if joint and m.loss.mean < joint.loss.mean],
        },
        "has_transfer": any(method.backward.n for method in finite),
    }


def reference_run(tables: Tables, found: list[Method]) -> Method:
    """Return the run that the others are tested against, the same as in the printed tables."""
    name = transfer_tables.reference_method(tables.metrics)
    return next(method for method in found if method.name == name)


def _grid(tables: Tables, found: list[Method]) -> dict[str, Any]:
    """Return what the grid says; nothing of it for a study without one."""
    # A study that searches nothing may have a table without rows.
    if tables.grid is None or tables.grid.empty:
        settings = tables.grid is not None
        return {"has_settings": settings, "grid": None, "choices": [], "ablations": []}
    home = summaries.home_domain(tables.metrics)
    task = summaries.tasks(tables.metrics)[0]
    points = rate_search.points(tables.grid, home, task)
    # Joint training is a bound, so it neither makes up the front nor dominates others.
    rivals = points[~points["method"].isin([method.name for method in found if method.joint])]
    on_front = set(rate_search.front(rivals)["method"])
    reference = reference_run(tables, found)
    low_rank = next((m for m in found if m.kind == "lora" and not m.strategies), reference)
    choices = rate_search.choices(tables.grid)
    there = [method for method in found if method.name in set(rivals["method"])]
    return {
        "has_settings": True,
        "grid": {
            "points": len(points),
            "task": domain_label(task),
            "on_front": [method for method in there if method.name in on_front],
            "off_front": [method for method in there if method.name not in on_front],
            "lora_beaten": rate_search.beaten(points, low_rank.name, reference.name),
            "reference_beaten": rate_search.beaten(points, reference.name, low_rank.name),
        },
        "choices": choices,
        "chosen_groups": [
            (rate, [lower_first(choice.label) for choice in users])
            for rate, users in groups(choices, lambda choice: choice.chosen)
            if rate is not None
        ],
        "ablations": rate_search.ablations(tables.grid, home, task),
    }


def alternative_text(notebooks: dict[str, dict[str, Any]], name: str) -> str:
    """Return what a figure shows, in words: ``alt`` of its notebook, or else its caption."""
    facts = notebooks.get(name, {})
    words = facts.get("alt") or facts.get("caption")
    if not words:
        raise UserError(f"notebooks/{name}.ipynb: no 'alt' in its metadata, the figure in words")
    return words


def drawn_width(path: Path) -> float:
    """Return the width of an SVG in points."""
    with open(path, encoding="utf-8") as stream:
        found = re.search(r'<svg\b[^>]*?\bwidth="([\d.]+)(?:pt|px)?"', stream.read(10_000))
    if not found:
        raise UserError(f"{path}: an SVG without a width; draw it again (jadapt.figures.style)")
    return float(found[1])


def figure_path(folder: Path, name: str) -> Path:
    """Return the path of a figure that the text shows, which must exist."""
    path = folder / f"{name}.svg"
    if not path.is_file():
        raise UserError(f"{path}: no such figure; run its notebook first (snakemake fig_{name})")
    return path
