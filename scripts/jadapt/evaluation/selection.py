"""The rule that picks one point of a front: learning and forgetting together, on validation text.

A rate that is chosen by how well the first task is learned may be the one that forgets most. The
rule weighs both over the whole sequence; a study states the weight before it runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from jadapt.core.errors import UserError


@dataclass(frozen=True)
class Rule:
    """Bits per byte learned, minus ``forgetting_weight`` times those forgotten.

    Learned is the mean over the tasks of the base model's loss minus the loss after the last task;
    forgotten the mean over the retention domains of the loss minus the base model's, where that is
    positive.
    """

    forgetting_weight: float = 1.0


@dataclass(frozen=True)
class Choice:
    """The chosen point.

    Attributes:
        rate: its learning rate.
        strength: of its strategy or its setting, as text; empty where the run has none.
        score: of the rule, in bits per byte, the mean over the seeds.
        at_end: the rate is the lowest or highest that was tried.
    """

    rate: float
    strength: str
    score: float
    at_end: bool


def score(
    rule: Rule,
    base: Mapping[str, Any],
    final: Mapping[str, float | None],
    tasks: Sequence[str],
    retention: Sequence[str],
) -> float:
    """Return the score of one model from validation losses by domain; -inf where it diverged.

    Retention domains that could not be reached are left out.
    """
    kept = [name for name in retention if name in final and name in base]
    after = {name: math.nan if (loss := final[name]) is None else loss for name in (*tasks, *kept)}
    if not all(map(math.isfinite, after.values())):
        return -math.inf
    learned = mean(base[name] - after[name] for name in tasks)
    forgotten = mean(max(0.0, after[name] - base[name]) for name in kept) if kept else 0.0
    return learned - rule.forgetting_weight * forgotten


def choose(
    run: str,
    rule: Rule,
    base: Iterable[Sequence],
    results: Iterable[tuple[Any, list]],
    tasks: Sequence[str],
    retention: Sequence[str],
) -> Choice:
    """Return the point with the highest mean score over its seeds.

    Args:
        run: for messages.
        rule: of the study.
        base: measurements of the base model (`jadapt.evaluation.fronts`).
        results: points with their measurements.
        tasks: of the sequence.
        retention: domains that are to be kept.

    Raises:
        UserError: training diverged at every point.
    """
    before = validation_losses(base)
    scores: dict[tuple[float, str], list[float]] = {}
    for point, measured in results:
        value = score(rule, before, validation_losses(measured), tasks, retention)
        scores.setdefault((point.rate, point.strength), []).append(value)
    rates = sorted({rate for rate, _ in scores})
    best = max(scores, key=lambda key: mean(scores[key]))
    value = mean(scores[best])
    if value == -math.inf:
        raise UserError(
            f"{run}: training diverged at every rate ({', '.join(f'{rate:g}' for rate in rates)}); "
            "add lower ones to its learning_rate"
        )
    return Choice(*best, value, best[0] in (rates[0], rates[-1]))


def validation_losses(measured: Iterable[Sequence]) -> dict[str, float | None]:
    """Return the bits per byte on validation text of the model itself, by domain."""
    return {
        domain: value
        for _, share, domain, split, metric, value, *_ in measured
        if split == "validation" and metric == "bits_per_byte" and share in (0.0, 1.0)
    }


def extension(rates: Sequence[float], best: float) -> float | None:
    """Return the next rate beyond the end of a grid that the best one lies at, or None.

    The grid goes on by the ratio of its two rates at that end, rounded to two digits.
    """
    ordered = sorted(rates)
    if len(ordered) < 2 or best not in (ordered[0], ordered[-1]):
        return None
    first, second = ordered[:2] if best == ordered[0] else (ordered[-1], ordered[-2])
    return float(f"{first * first / second:.1e}")
