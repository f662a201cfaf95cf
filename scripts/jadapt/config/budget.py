"""How long each task of a run is trained.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def of_task(settings: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return the settings of a run with the steps of one of its tasks put in.

    Where ``tokens`` names the task, ``steps`` are as many as process that many tokens (rounded, at
    least one), and ``warmup_steps`` the same share of them as the run's warm-up is of its steps.

    Args:
        settings: of a run: ``steps``, ``warmup_steps``, ``global_batch_size``,
            ``sequence_length`` and, optionally, ``tokens`` by task.
        task: a domain of the run's sequence.
    """
    tokens = (settings.get("tokens") or {}).get(task)
    if tokens is None:
        return dict(settings)
    steps = max(1, round(tokens / (settings["global_batch_size"] * settings["sequence_length"])))
    warmup = round(steps * settings["warmup_steps"] / settings["steps"])
    return {**settings, "steps": steps, "warmup_steps": min(warmup, steps - 1)}


def steps(settings: Mapping[str, Any], task: str) -> int:
    """Return the optimiser steps of one task of a run."""
    return of_task(settings, task)["steps"]


def rows(settings: Mapping[str, Any], task: str) -> int:
    """Return the training rows of one task of a run."""
    return steps(settings, task) * settings["global_batch_size"]


def labels(settings: Mapping[str, Any], task: str) -> int:
    """Return the labels (tokens to predict) of the task's own text in one task of a run.

    Rows of another domain, which pre-training may mix in, do not count.
    """
    count = rows(settings, task)
    other = round(count * (settings.get("mixture") or {}).get("share", 0))
    return (count - other) * settings["sequence_length"]
