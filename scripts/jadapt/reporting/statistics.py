"""Means over seeds with their 95 % intervals."""

from __future__ import annotations

import math
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
