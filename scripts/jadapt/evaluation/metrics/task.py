"""How well a model does a downstream task.

The value comes from lm-evaluation-harness, which calls the metric `harness`.
"""

from __future__ import annotations

from jadapt.evaluation.metrics.base import HIGHER, TaskMetric


class Accuracy(TaskMetric):
    """Share of items whose right choice is the most probable one (or whose answer is)."""

    key = "accuracy"
    label = "Accuracy"
    unit = "share"
    direction = HIGHER
    harness = "acc"


class AccuracyByLength(TaskMetric):
    """The same with the log-probability of a choice divided by its number of characters."""

    key = "accuracy_by_length"
    label = "Accuracy, by length"
    unit = "share"
    direction = HIGHER
    harness = "acc_norm"


class ExactMatch(TaskMetric):
    """Share of items whose generated answer is one of the gold answers."""

    key = "exact_match"
    label = "Exact match"
    unit = "share"
    direction = HIGHER
    harness = "exact_match"
    chance = 0.0


class CharacterF1(TaskMetric):
    """Mean F1 of the characters of the generated answer and the nearest gold answer."""

    key = "character_f1"
    label = "F1"
    unit = "share"
    direction = HIGHER
    harness = "f1"
    chance = 0.0


class Pearson(TaskMetric):
    """Correlation of the expected value under the model with the gold value."""

    key = "pearson"
    label = "Pearson"
    unit = "correlation"
    direction = HIGHER
    harness = "pearson"
    chance = 0.0

    def standard_error(self, value: float, n: int) -> float:
        """Return the large-sample error of a correlation."""
        return (1 - value**2) / (n - 1) ** 0.5


class Spearman(Pearson):
    """The same of their ranks."""

    key = "spearman"
    label = "Spearman"
    harness = "spearman"
