"""How large differences between methods are: effect sizes, and intervals by the bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import gammaln

from jadapt.analysis.labels import BASE, in_order
from jadapt.analysis.printing import INTERVAL
from jadapt.analysis.statistics import LEVEL, estimate
from jadapt.analysis.summaries import learning_and_forgetting
from jadapt.analysis.transfer_tables import reference_method

RESAMPLES = 10_000


def effect_size(differences: pd.Series) -> float:
    """Return Hedges' g of paired differences.

    Cohen's d_z is the mean of the differences over their standard deviation (divisor n - 1); it
    overestimates with few pairs, so it is multiplied by Hedges' exact correction
    J = Γ(m/2) / (√(m/2) Γ((m - 1)/2)) with m = n - 1 (Hedges, 1981). NaN with fewer than three
    pairs, for which there is no correction, and without any scatter.
    """
    sample = np.asarray(differences, dtype=float)
    freedom = sample.size - 1
    if freedom < 2 or not np.isfinite(sample).all():
        return math.nan
    scatter = sample.std(ddof=1)
    # Equal differences keep a scatter of rounding errors.
    if scatter <= 1e-12 * max(1.0, np.abs(sample).max()):
        return math.nan
    log_j = gammaln(freedom / 2) - math.log(freedom / 2) / 2 - gammaln((freedom - 1) / 2)
    return float(math.exp(log_j) * sample.mean() / scatter)


def bootstrap_interval(values: pd.Series) -> tuple[float, float]:
    """Return the ends of the 95 % percentile interval of the mean by the bootstrap.

    Seeds are drawn with replacement, 10,000 times with a fixed start, so that the same values give
    the same interval. With few seeds it is too narrow: no mean of drawn seeds leaves the range of
    the measured ones. (NaN, NaN) with fewer than two values or a missing one.
    """
    from scipy.stats import bootstrap  # slow to load

    sample = np.asarray(values, dtype=float)
    if sample.size < 2 or not np.isfinite(sample).all():
        return math.nan, math.nan
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    found = bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def effects_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return differences from the reference in gain and loss: one row a method.

    Each as the mean over seeds with the half-width of Student's interval, the ends of the
    bootstrap's, and Hedges' g.
    """
    runs = learning_and_forgetting(metrics)
    reference = reference_method(metrics)
    old = runs[runs["method"] == reference].set_index("seed")
    rows = []
    for method in in_order(runs["method"]):
        if method in (BASE, reference):
            continue
        new = runs[runs["method"] == method].set_index("seed")
        common = new.index.intersection(old.index)
        row: dict[str, object] = {"method": method}
        for measure in ("gain", "loss"):
            differences = new.loc[common, measure] - old.loc[common, measure]
            found = estimate(differences)
            name = f"{measure}_difference"
            row[name], row[f"{name}:{INTERVAL}"] = found.mean, found.half_width
            row[f"{measure}_low"], row[f"{measure}_high"] = bootstrap_interval(differences)
            row[f"{measure}_effect"] = effect_size(differences)
        row["seeds"] = len(common)
        rows.append(row)
    columns = ["method", "seeds"] if not rows else None
    return pd.DataFrame(rows, columns=columns)
