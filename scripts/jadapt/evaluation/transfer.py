"""Rows of ``metrics.csv`` about a whole run, from the losses that the evaluations measured.

The measures themselves are declared in `jadapt.evaluation.metrics.sequence`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from jadapt.core.errors import UserError
from jadapt.core.tables import METRICS
from jadapt.evaluation.metrics.base import KnownMetric, SequenceMetric
from jadapt.evaluation.metrics.registry import of_kind

BASE = "base"
BITS = "bits_per_byte"
SEQUENCE = "sequence"


def sequence_of(table: pd.DataFrame) -> list[str]:
    """Return the tasks in the order of the method that has the most stages."""
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


def known_rows(table: pd.DataFrame, known: str) -> pd.DataFrame:
    """Return the rows that compare the known language with the base model, for every stage.

    Raises:
        UserError: the table has not one base model that was measured on the known language.
    """
    loss = table[(table["metric"] == BITS) & (table["evaluated_on"] == known)]
    before = loss[loss["method"] == BASE]
    if len(before) != 1:
        raise UserError(f"metrics: expected one base model on '{known}', found {len(before)}")
    parts = []
    for metric in of_kind(KnownMetric):
        part = loss[loss["method"] != BASE].copy()
        part["metric"] = metric.key.format(known=known)
        part["value"] = [metric.value(before["value"].item(), after) for after in part["value"]]
        part["unit"] = metric.unit
        parts.append(part)
    return pd.concat(parts)


def transfer_rows(table: pd.DataFrame, known: str) -> pd.DataFrame:
    """Return the rows about whole sequences, one per method, seed and `SequenceMetric`.

    ``n`` is the divisor. A measure is left out where a stage that it needs was not measured, or the
    sequence is too short for it. A loss that diverged (NaN) makes the measures that rest on it NaN.
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
        for metric in of_kind(SequenceMetric) if tasks else ():
            needed = metric.needed(tasks, known)
            if needed is not None and needed <= measured:
                at = (study, method, seed, tasks[-1], SEQUENCE)
                value, divisor = metric.value(matrix)
                rows.append((*at, metric.key, value, metric.unit, divisor))
    return pd.DataFrame(rows, columns=list(METRICS.header))
