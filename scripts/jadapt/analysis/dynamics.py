"""How training went: steps to converge, unrest at the end, and overfitting, one value a seed.

All measures are made within a task, counting its steps from its start, and averaged over the tasks
of a run. A seed for which a measure does not exist has NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from jadapt.analysis.labels import BASE, in_order, method_label
from jadapt.analysis.printing import INTERVAL
from jadapt.analysis.statistics import LEVEL, estimate, holm

# Converged means within this share of the final loss; the end is this share of the logged steps.
NEAR, END = 0.05, 0.10
# Fewer values say nothing about how far they scatter.
FEWEST = 3
TRAINING, VALIDATION = "training_loss", "validation_loss"


def steps_to_converge(curves: pd.DataFrame, method: str) -> pd.Series:
    """Return the step from which the training loss stays within 5 % of its final value, by seed.

    The loss is smoothed by a trailing mean over a tenth of the logged steps, and its final value is
    the last of these means.
    """
    return _by_seed(curves, method, TRAINING, _converged)


def _converged(losses: pd.Series) -> float:
    smooth = _smooth(losses)
    far = np.flatnonzero(smooth.to_numpy() > (1 + NEAR) * smooth.iloc[-1])
    return float(smooth.index[far[-1] + 1 if len(far) else 0])


def _smooth(losses: pd.Series) -> pd.Series:
    return losses.rolling(_tenth(losses), min_periods=1).mean()


def _tenth(losses: pd.Series) -> int:
    return math.ceil(END * len(losses))


def variance_at_end(curves: pd.DataFrame, method: str) -> pd.Series:
    """Return the variance of the last tenth of the logged training losses (nats²), by seed.

    At least three values are used, which of a short run are more than a tenth.
    """
    return _by_seed(curves, method, TRAINING, _variance)


def _variance(losses: pd.Series) -> float:
    if len(losses) < FEWEST:
        return math.nan
    return float(losses.iloc[-max(FEWEST, _tenth(losses)) :].var(ddof=1))


def lowest_validation_step(curves: pd.DataFrame, method: str) -> pd.Series:
    """Return the step of the lowest validation loss on the task, by seed."""
    return _by_seed(curves, method, VALIDATION, lambda losses: float(losses.idxmin()))


def turns(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return how far losses moved from the turning point to the end of a task: one row per seed.

    The turning point of a seed is where the mean validation loss of the *other* seeds is lowest.
    Its own minimum would make every rise positive, if only by noise; this one makes a rise of zero
    on average where there is none, so that it can be tested. Columns ``rise`` (validation loss) and
    ``training`` (smoothed training loss), in nats per token. No row with fewer than two seeds.
    """
    rows = []
    for task in _tasks(curves, method):
        validation = _table(curves, method, task, VALIDATION)
        training = _table(curves, method, task, TRAINING).apply(_smooth)
        if validation.shape[1] < 2 or validation.empty or training.empty:
            continue
        for seed in validation.columns:
            others = validation.drop(columns=seed).mean(axis=1, skipna=False)
            if others.isna().any():
                continue
            turn = others.idxmin()
            rise = validation[seed].iloc[-1] - validation[seed][turn]
            # The last training loss logged up to the turning point, or else the first of all.
            before = training[seed][training.index <= turn]
            start = before.iloc[-1] if len(before) else training[seed].iloc[0]
            rows.append((seed, rise, training[seed].iloc[-1] - start))
    found = pd.DataFrame(rows, columns=["seed", "rise", "training"])
    return found.groupby("seed").mean()


def validation_rise(curves: pd.DataFrame, method: str) -> pd.Series:
    """Return how far the validation loss rose after its turning point (see `turns`), by seed.

    Seeds without a turning point, as a single one, have NaN.
    """
    return turns(curves, method)["rise"].reindex(_seeds(curves, method))


def overfits(curves: pd.DataFrame) -> pd.DataFrame:
    """Test every method for overfitting: validation losses that rise while training losses fall.

    Returns:
        One row a method: ``rise`` and ``training`` as means of `turns` with half-widths of their
        intervals, the one-sided ``p`` of Student's test that the rise is above zero, ``p_holm``
        corrected by Holm's method over the methods, and ``overfits``: the corrected p is below
        0.05 and the training loss went on falling.
    """
    from scipy.stats import ttest_1samp  # slow to load

    rows = []
    for method in in_order(curves.loc[curves["method"] != BASE, "method"]):
        found = turns(curves, method)
        rise, training = estimate(found["rise"]), estimate(found["training"])
        p = math.nan
        if len(found) > 1 and math.isfinite(rise.mean):
            # Rises that are all alike have no scatter to test against.
            alike = found["rise"].nunique() == 1
            if alike:
                p = 0.0 if rise.mean > 0 else 1.0
            else:
                p = float(ttest_1samp(found["rise"], 0.0, alternative="greater").pvalue)
        parts = (rise.mean, rise.half_width, training.mean, training.half_width, p)
        rows.append((method, *parts))
    names = ["method", "rise", "rise_half_width", "training", "training_half_width", "p"]
    table = pd.DataFrame(rows, columns=names)
    table["p_holm"] = holm(table["p"])
    table["overfits"] = (table["p_holm"] < 1 - LEVEL) & (table["training"] < 0)
    return table


def convergence_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the table of the course of training: one row a method."""
    tests = overfits(curves).set_index("method")
    rows = []
    for method in tests.index:
        row: dict[str, object] = {"method": method}
        for name, measure in (
            ("steps_to_converge", steps_to_converge),
            ("variance_at_end", variance_at_end),
        ):
            found = estimate(measure(curves, method))
            row[name], row[f"{name}:{INTERVAL}"] = found.mean, found.half_width
        test = tests.loc[method]
        row["validation_rise"] = test["rise"]
        row[f"validation_rise:{INTERVAL}"] = test["rise_half_width"]
        row["training_change"] = test["training"]
        row[f"training_change:{INTERVAL}"] = test["training_half_width"]
        row["overfitting_p"] = test["p_holm"]
        row["seeds"] = len(_seeds(curves, method))
        rows.append(row)
    return pd.DataFrame(rows)


def _rows(curves: pd.DataFrame, method: str) -> pd.DataFrame:
    return curves[curves["method"] == method]


def _tasks(curves: pd.DataFrame, method: str) -> list[str]:
    return list(_rows(curves, method)["task"].unique())


def _seeds(curves: pd.DataFrame, method: str) -> list[int]:
    return sorted(_rows(curves, method)["seed"].unique())


def _table(curves: pd.DataFrame, method: str, task: str, metric: str) -> pd.DataFrame:
    """Return the values of a metric in one task: one row per step, one column per seed."""
    rows = _rows(curves, method)
    rows = rows[(rows["task"] == task) & (rows["metric"] == metric)]
    return rows.pivot_table(index="step", columns="seed", values="value", dropna=False).sort_index()


def _by_seed(
    curves: pd.DataFrame, method: str, metric: str, measure: Callable[[pd.Series], float]
) -> pd.Series:
    """Return a measure of one loss curve, averaged over the tasks, as a series over seeds."""
    found = {}
    for task in _tasks(curves, method):
        losses = _table(curves, method, task, metric)
        found[task] = pd.Series(
            {
                seed: measure(line) if line.notna().all() and len(line) else math.nan
                for seed, line in losses.items()
            },
            dtype=float,
        )
    # A plain mean: a task that one seed lacks must not flatter that seed.
    return pd.DataFrame(found).mean(axis=1, skipna=False)


def summary(curves: pd.DataFrame) -> dict[str, Any]:
    """Return what the text says about the course of training.

    ``order`` pairs methods with their steps to convergence as estimates, the soonest first;
    ``tested`` tells whether there were seeds enough to test for overfitting, ``overfitting`` names
    the methods for which the test finds it.
    """
    tests = overfits(curves)
    steps = [
        (method_label(name), estimate(steps_to_converge(curves, name))) for name in tests["method"]
    ]
    finite = [(label, found) for label, found in steps if math.isfinite(found.mean)]
    return {
        "near": NEAR,
        "end": END,
        "order": sorted(finite, key=lambda item: item[1].mean),
        "tested": bool(tests["p"].notna().any()),
        "overfitting": [method_label(name) for name in tests.loc[tests["overfits"], "method"]],
    }
