"""Measures of continual learning from losses after every task of a sequence.

All of them read one matrix a run: R[i, j] is the loss on task j (bits per byte) after training
through task i, for tasks 1..T; row 0 is the model before the first of them. The measures are those
of Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning" (NeurIPS 2017), with two
differences. They measure accuracy and we a loss, so the signs of transfer are turned: positive
means that another task helped. Their forward transfer starts from a model with random weights,
ours from the base model, which is what is adapted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from jadapt.core.tables import METRICS

BASE = "base"
BITS = "bits_per_byte"
SEQUENCE = "sequence"
UNIT = "bit/byte"


def sequence_of(table: pd.DataFrame) -> list[str]:
    """Return the tasks in the order in which the method with the most stages went through them."""
    stages = table[table["method"] != BASE].groupby("method", sort=False)["trained_through"]
    orders = [list(own.unique()) for _, own in stages]
    return max(orders, key=len, default=[])


def loss_matrix(stages: pd.DataFrame, tasks: Sequence[str], known: str) -> np.ndarray:
    """Return R of one run, of shape (T + 1, T), in the unit of ``stages``.

    Args:
        stages: rows of one metric, ``trained_through``, ``evaluated_on`` and ``value``, of the run
            and of the base model.
        tasks: names of the T tasks in order.
        known: name of the stage that is row 0.

    Returns:
        The matrix; an entry that was not measured is NaN.
    """
    keys = zip(stages["trained_through"], stages["evaluated_on"], strict=True)
    found = dict(zip(keys, stages["value"], strict=True))
    return np.array(
        [[found.get((stage, task), np.nan) for task in tasks] for stage in (known, *tasks)],
        dtype=float,
    )


def average(matrix: np.ndarray) -> float:
    """Return the mean loss over the T tasks after the last: sum over j of R[T, j], divided by T."""
    return float(matrix[-1].mean())


def backward_transfer(matrix: np.ndarray) -> float:
    """Return how far later tasks lowered the losses of earlier ones; negative is forgetting.

    The sum over j = 1..T-1 of R[j, j] - R[T, j], divided by T - 1. The last task has none behind it
    and does not count.

    Raises:
        ValueError: for a single task, which has nothing to transfer to.
    """
    return _over_pairs(np.diagonal(matrix[1:])[:-1] - matrix[-1, :-1])


def forward_transfer(matrix: np.ndarray) -> float:
    """Return how far earlier tasks lowered the losses of later ones before these were trained.

    The sum over j = 2..T of R[0, j] - R[j-1, j], divided by T - 1. The first task has none before
    it and does not count; some programs divide by T with a zero for it.

    Raises:
        ValueError: for a single task, which has nothing to transfer from.
    """
    return _over_pairs((matrix[0] - np.diagonal(matrix))[1:])


def _over_pairs(differences: np.ndarray) -> float:
    if not len(differences):
        raise ValueError("transfer needs a sequence of at least two tasks")
    return float(differences.mean())


def transfer_rows(table: pd.DataFrame, known: str) -> pd.DataFrame:
    """Return the derived rows of ``metrics.csv``, one a method, seed and measure.

    ``average_bits_per_byte``, ``backward_transfer`` and ``forward_transfer``, in bits per byte and
    with the divisor as ``n``. A measure is left out where a stage that it needs was not measured;
    the transfers, also where the sequence has one task. A loss that diverged (NaN) makes the
    measures that rest on it NaN.
    """
    losses = table[table["metric"] == BITS]
    tasks = sequence_of(losses)
    rows = []
    base = losses[losses["method"] == BASE]
    adapted = losses[losses["method"] != BASE]
    for (study, method, seed), run in adapted.groupby(["study", "method", "seed"], sort=False):
        stages = pd.concat([base, run])
        measured = set(zip(stages["trained_through"], stages["evaluated_on"], strict=True))
        matrix = loss_matrix(stages, tasks, known)
        for metric, measure, needed, divisor in _measures(tasks, known):
            if needed <= measured:
                at = (study, method, seed, tasks[-1], SEQUENCE)
                rows.append((*at, metric, measure(matrix), UNIT, divisor))
    return pd.DataFrame(rows, columns=list(METRICS.header))


def _measures(tasks: Sequence[str], known: str) -> list[tuple]:
    """Return each measure with its name, the entries of the matrix it reads, and its divisor."""
    if not tasks:
        return []
    last = tasks[-1]
    found = [("average_bits_per_byte", average, {(last, task) for task in tasks}, len(tasks))]
    if len(tasks) > 1:
        earlier = {stage for task in tasks[:-1] for stage in ((task, task), (last, task))}
        later = {(known, task) for task in tasks[1:]} | set(pairwise(tasks))
        found.append(("backward_transfer", backward_transfer, earlier, len(tasks) - 1))
        found.append(("forward_transfer", forward_transfer, later, len(tasks) - 1))
    return found
