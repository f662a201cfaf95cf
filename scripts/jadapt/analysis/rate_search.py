"""What the grid says: learning rates chosen, the front between learning and forgetting, ablations.

All values are bits per byte on validation splits after the first task (see ``grid.csv``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from jadapt.analysis.comparisons import direction
from jadapt.analysis.labels import BASE, ablation_label, in_order, method_label
from jadapt.analysis.statistics import Estimate, estimate, paired_difference
from jadapt.analysis.summaries import BITS

LOWEST, HIGHEST = "lowest", "highest"
FALLS, RISES, NEITHER = "falls", "rises", "neither"


@dataclass(frozen=True)
class Choice:
    """The learning rates that a run tried, those that diverged, and the one it was given.

    ``end`` names the end of the grid that ``chosen`` lies at, or is empty.
    """

    label: str
    tried: list[float]
    diverged: list[float]
    chosen: float | None
    end: str

    @property
    def several(self) -> bool:
        """Whether there was anything to choose from."""
        return len(self.tried) > 1


@dataclass(frozen=True)
class Variant:
    """One value of an ablation at its chosen rate; by seed, NaN where nothing converged."""

    value: str
    rate: float
    rates: int
    tasks: pd.Series
    homes: pd.Series
    parameters: int | None
    diverged: list[float]

    @property
    def task(self) -> Estimate:
        """Bits per byte on the task."""
        return estimate(self.tasks)

    @property
    def converged(self) -> bool:
        """Whether there is a finite result for every seed."""
        return _known(self.task) and _known(self.home)

    @property
    def home(self) -> Estimate:
        """Bits per byte on the base model's own domain."""
        return estimate(self.homes)


@dataclass(frozen=True)
class Ablation:
    """One setting of a run, varied; ``difference`` is the worst value minus the best, by seed."""

    name: str
    label: str
    variants: list[Variant]
    best: Variant | None
    worst: Variant | None
    difference: Estimate
    told: bool
    task_trend: str
    home_trend: str

    @property
    def searched(self) -> bool:
        """Whether values had rates to choose from."""
        return any(variant.rates > 1 for variant in self.variants)

    @property
    def ordered(self) -> bool:
        """Whether there is a direction along the values."""
        return are_numbers(variant.value for variant in self.variants)

    def variant(self, value: str) -> Variant | None:
        """Return the variant of a value, if it was tried and converged."""
        return next((v for v in self.variants if v.value == value and _known(v.task)), None)


def _known(found: Estimate) -> bool:
    return math.isfinite(found.mean)


def _searched(grid: pd.DataFrame) -> pd.DataFrame:
    return grid[(grid["ablation"] == "") & (grid["method"] != BASE)]


def _diverged(rows: pd.DataFrame) -> list[float]:
    """Return the rates at which a seed has no finite value."""
    bits = rows[rows["metric"] == BITS]
    bad = bits.groupby("learning_rate")["value"].apply(lambda values: values.isna().any())
    return [float(rate) for rate in bad[bad].index]


def choices(grid: pd.DataFrame) -> list[Choice]:
    """Return, for each run of the grid in the house order, the rates and the choice."""
    rows = _searched(grid)
    found = []
    for name in in_order(rows["method"]):
        own = rows[rows["method"] == name]
        tried = sorted(map(float, own["learning_rate"].unique()))
        picked = own.loc[own["selected"], "learning_rate"]
        chosen = float(picked.iloc[0]) if len(picked) else None
        end = ""
        if len(tried) > 1 and chosen in (tried[0], tried[-1]):
            end = LOWEST if chosen == tried[0] else HIGHEST
        found.append(Choice(method_label(name), tried, _diverged(own), chosen, end))
    return found


def points(grid: pd.DataFrame, home: str, task: str) -> pd.DataFrame:
    """Return the finite points of the grid: ``method``, ``learning_rate``, ``task``, ``home``.

    Values are means over the grid's seeds; a point of which a seed diverged is none.
    """
    rows = _searched(grid)
    rows = rows[rows["metric"] == BITS]
    by = ["method", "learning_rate"]

    def means(domain: str) -> pd.Series:
        own = rows[rows["evaluated_on"] == domain]
        return own.groupby(by, sort=False)["value"].agg(lambda values: values.mean(skipna=False))

    found = pd.DataFrame({"task": means(task), "home": means(home)})
    return found.dropna().reset_index()


def dominated(point: pd.Series, others: pd.DataFrame) -> bool:
    """Tell whether another point is as good on both axes and better on one (lower is better)."""
    as_good = (others["task"] <= point["task"]) & (others["home"] <= point["home"])
    better = (others["task"] < point["task"]) | (others["home"] < point["home"])
    return bool((as_good & better).any())


def front(found: pd.DataFrame) -> pd.DataFrame:
    """Return the points that no other dominates."""
    kept = [not dominated(point, found) for _, point in found.iterrows()]
    # An empty list would choose among columns.
    return found.loc[kept]


def beaten(found: pd.DataFrame, name: str, by: str) -> tuple[int, int]:
    """Return how many points of a run a point of another dominates, and how many it has."""
    own, others = found[found["method"] == name], found[found["method"] == by]
    return sum(dominated(point, others) for _, point in own.iterrows()), len(own)


def are_numbers(variants: Iterable[str]) -> bool:
    """Tell whether the values of an ablation are numbers, so that they have an order."""
    try:
        return all(math.isfinite(float(value)) for value in variants)
    except ValueError:
        return False


def trend(values: list[float]) -> str:
    """Return whether values fall at every step, rise at every step, or do neither."""
    pairs = list(pairwise(values))
    if pairs and all(later < earlier for earlier, later in pairs):
        return FALLS
    if pairs and all(later > earlier for earlier, later in pairs):
        return RISES
    return NEITHER


def ablations(grid: pd.DataFrame, home: str, task: str) -> list[Ablation]:
    """Return the ablations in the order of the table, each value at the rate chosen for it."""
    rows = grid[grid["ablation"] != ""]
    found = []
    for name in rows["ablation"].unique():
        own = rows[rows["ablation"] == name]
        variants = [
            _variant(value, own[own["variant"] == value], home, task)
            for value in own["variant"].unique()
        ]
        found.append(_ablation(name, own["method"].iloc[0], variants))
    return found


def _variant(value: str, rows: pd.DataFrame, home: str, task: str) -> Variant:
    chosen = rows[rows["selected"]]
    bits = chosen[chosen["metric"] == BITS]

    def by_seed(domain: str) -> pd.Series:
        return bits[bits["evaluated_on"] == domain].groupby("seed")["value"].mean()

    sizes = rows.loc[rows["metric"] == "trainable_parameters", "value"].dropna()
    return Variant(
        value=value,
        rate=float(chosen["learning_rate"].iloc[0]) if len(chosen) else math.nan,
        rates=rows["learning_rate"].nunique(),
        tasks=by_seed(task),
        homes=by_seed(home),
        parameters=round(sizes.iloc[0]) if len(sizes) else None,
        diverged=_diverged(rows),
    )


def _ablation(name: str, method: str, variants: list[Variant]) -> Ablation:
    known = sorted((v for v in variants if _known(v.task)), key=lambda variant: variant.task.mean)
    best, worst = (known[0], known[-1]) if len(known) > 1 else (None, None)
    difference = paired_difference(worst.tasks, best.tasks) if best and worst else estimate([])
    whole = len(known) == len(variants) > 1
    return Ablation(
        name=name,
        label=ablation_label(name, method),
        variants=variants,
        best=best,
        worst=worst,
        difference=difference,
        told=difference.has_interval and direction(difference) != "same",
        task_trend=trend([v.task.mean for v in variants]) if whole else NEITHER,
        home_trend=trend([v.home.mean for v in variants]) if whole else NEITHER,
    )
