"""Means over seeds with their 95 % intervals, and paired tests between methods."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds and the half-width of its interval (NaN when ``n`` is below two)."""

    mean: float
    half_width: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether there were seeds enough for an interval."""
        return math.isfinite(self.half_width)

    @property
    def low(self) -> float:
        """Lower end of the interval; the mean itself without one."""
        return self.mean - (self.half_width if self.has_interval else 0.0)

    @property
    def high(self) -> float:
        """Upper end of the interval; the mean itself without one."""
        return self.mean + (self.half_width if self.has_interval else 0.0)


def estimate(values: Iterable[float]) -> Estimate:
    """Return the mean of one value a seed with its 95 % interval by Student's t.

    One value has no interval. A missing value (NaN) makes the mean missing: a diverged seed must
    not vanish from an average.
    """
    sample = np.asarray(list(values), dtype=float)
    if sample.size == 0:
        return Estimate(math.nan, math.nan, 0)
    mean = float(sample.mean())
    if sample.size < 2:
        return Estimate(mean, math.nan, int(sample.size))
    error = sample.std(ddof=1) / math.sqrt(sample.size)
    quantile = stdtrit(sample.size - 1, 0.5 + LEVEL / 2)
    return Estimate(mean, float(quantile * error), int(sample.size))


def paired_difference(first: pd.Series, second: pd.Series) -> Estimate:
    """Return ``first - second`` averaged over the seeds (the index) that both have."""
    common = first.index.intersection(second.index)
    return estimate(first[common] - second[common])


def summarise(frame: pd.DataFrame, by: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Reduce rows that differ by seed to ``mean``, ``half_width``, ``low``, ``high`` and ``n``.

    One row a distinct combination of the columns ``by``, in order of appearance.
    """
    rows = []
    for key, group in frame.groupby(list(by), sort=False, observed=True):
        found = estimate(group[value])
        ends = {"low": found.low, "high": found.high, "n": found.n}
        rows.append(
            dict(zip(by, key, strict=True))
            | {"mean": found.mean, "half_width": found.half_width}
            | ends
        )
    return pd.DataFrame(rows, columns=[*by, "mean", "half_width", "low", "high", "n"])


TESTS = ["method", "measure", "difference", "half_width", "n", "p", "p_holm"]


def paired_tests(
    runs: pd.DataFrame, reference: str, measures: Sequence[str] = ("gain", "loss")
) -> pd.DataFrame:
    """Compare every method with the reference seed by seed, in every measure.

    Args:
        runs: one row a ``method`` and ``seed``, with a column a measure.
        reference: the method that the others are compared with.
        measures: columns of ``runs``.

    Returns:
        One row a method and measure: ``difference`` from the reference with the ``half_width`` of
        its 95 % interval, ``n`` seeds that both have, the two-sided ``p`` of Student's paired test,
        and ``p_holm``, corrected by Holm's method for all tests of the table at once. Both are NaN
        with fewer than two seeds or with a diverged one; such a pair is no test.
    """
    old = runs[runs["method"] == reference].set_index("seed")
    rows = []
    for method in runs["method"].unique():
        new = runs[runs["method"] == method].set_index("seed")
        for measure in measures if method != reference else ():
            found = paired_difference(new[measure], old[measure])
            p = paired_p(new[measure], old[measure])
            rows.append((method, measure, found.mean, found.half_width, found.n, p))
    tests = pd.DataFrame(rows, columns=TESTS[:-1])
    return tests.assign(p_holm=holm(tests["p"]))[TESTS]


def paired_p(first: pd.Series, second: pd.Series) -> float:
    """Return the two-sided p of Student's paired test over the seeds that both series have.

    NaN with fewer than two seeds. Pairs without any difference give 1.
    """
    from scipy.stats import ttest_rel  # slow to load, and few figures need it

    common = first.index.intersection(second.index)
    if len(common) < 2:
        return math.nan
    if (first[common] == second[common]).all():
        return 1.0
    with warnings.catch_warnings():
        # Differences that all agree have no variance to speak of; the test says 0, as it should.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_rel(first[common], second[common]).pvalue)


def holm(p: pd.Series) -> np.ndarray:
    """Return p values corrected for their number (Holm, 1979); missing ones are no tests."""
    from statsmodels.stats.multitest import multipletests

    corrected = np.asarray(p, dtype=float).copy()
    known = np.isfinite(corrected)
    if known.any():
        corrected[known] = multipletests(corrected[known], method="holm")[1]
    return corrected
