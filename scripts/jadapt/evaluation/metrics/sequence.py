"""What a sequence of tasks did: retention of the known language, average, transfer.

The measures are those of Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning"
(NeurIPS 2017), with two differences. They measure accuracy and we a loss, so the signs of transfer
are turned: positive means that another task helped. Their forward transfer starts from a model with
random weights, ours from the base model, which is what is adapted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from jadapt.evaluation.metrics.base import HIGHER, LOWER, KnownMetric, SequenceMetric

if TYPE_CHECKING:
    import numpy as np

Cells = set[tuple[str, str]] | None


class Retention(KnownMetric):
    """The base model's bits per byte over the run's: 1 when nothing was forgotten, else less."""

    key = "{known}_retention"
    label = "Retention"
    unit = "ratio"
    direction = HIGHER

    def value(self, before: float, after: float) -> float:
        """Divide the one by the other."""
        return before / after


class AverageBitsPerByte(SequenceMetric):
    """The mean loss over the T tasks after the last: sum over j of R[T, j], divided by T."""

    key = "average_bits_per_byte"
    family = "Tasks"
    label = "average"
    unit = "bit/byte"
    direction = LOWER

    def needed(self, tasks: Sequence[str], known: str) -> Cells:
        """Return the last row."""
        return {(tasks[-1], task) for task in tasks}

    def value(self, matrix: np.ndarray) -> tuple[float, int]:
        """Return the mean of the last row and T."""
        return float(matrix[-1].mean()), len(matrix[-1])


class BackwardTransfer(SequenceMetric):
    """How far later tasks lowered the losses of earlier ones; negative is forgetting.

    The sum over j = 1..T-1 of R[j, j] - R[T, j], divided by T - 1. The last task has none behind it
    and does not count.
    """

    key = "backward_transfer"
    family = "Transfer"
    label = "backward"
    unit = "bit/byte"
    direction = HIGHER

    def needed(self, tasks: Sequence[str], known: str) -> Cells:
        """Return the diagonal and the last row, but for the last task."""
        if len(tasks) < 2:
            return None
        return {stage for task in tasks[:-1] for stage in ((task, task), (tasks[-1], task))}

    def value(self, matrix: np.ndarray) -> tuple[float, int]:
        """Return it and T - 1; a sequence of one task is a ValueError."""
        return _over_pairs(matrix[1:].diagonal()[:-1] - matrix[-1, :-1])


class ForwardTransfer(SequenceMetric):
    """How far earlier tasks lowered the losses of later ones before these were trained.

    The sum over j = 2..T of R[0, j] - R[j-1, j], divided by T - 1. The first task has none before
    it and does not count; some programs divide by T with a zero for it.
    """

    key = "forward_transfer"
    family = "Transfer"
    label = "forward"
    unit = "bit/byte"
    direction = HIGHER

    def needed(self, tasks: Sequence[str], known: str) -> Cells:
        """Return the first row and the diagonal above the main one, but for the first task."""
        if len(tasks) < 2:
            return None
        return {(known, task) for task in tasks[1:]} | set(pairwise(tasks))

    def value(self, matrix: np.ndarray) -> tuple[float, int]:
        """Return it and T - 1; a sequence of one task is a ValueError."""
        return _over_pairs((matrix[0] - matrix.diagonal())[1:])


def _over_pairs(differences: np.ndarray) -> tuple[float, int]:
    if not len(differences):
        raise ValueError("transfer needs a sequence of at least two tasks")
    return float(differences.mean()), len(differences)
