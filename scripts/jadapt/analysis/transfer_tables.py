"""What a sequence of tasks did to every method: changes stage by stage, transfer, settings."""

from __future__ import annotations

import math

import pandas as pd

from jadapt.analysis.labels import BASE, in_order
from jadapt.analysis.rate_tables import chosen_rates, rates_tried
from jadapt.analysis.statistics import paired_tests
from jadapt.analysis.summaries import (
    BITS,
    adapted,
    by_seed,
    home_domain,
    learning_and_forgetting,
    put,
    task_mean,
    tasks,
)

AVERAGE = "average_bits_per_byte"
SEQUENCE = "sequence"
TRANSFERS = ("backward_transfer", "forward_transfer")


def reference_method(metrics: pd.DataFrame) -> str:
    """Return the method that others are tested against: full fine-tuning, or else the first."""
    names = adapted(metrics)
    return "sft" if "sft" in names else names[0]


def stage_changes(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return how far bits per byte are from the base model's after every stage, as means of seeds.

    Columns ``method``, ``trained_through``, ``evaluated_on`` and ``change`` (positive is worse),
    for the base model's own domain and the tasks. The base model is the first stage of every
    method, with a change of zero. A stage of which a seed diverged is NaN.
    """
    home, trained = home_domain(metrics), tasks(metrics)
    shown = [home, *trained]
    bits = metrics[(metrics["metric"] == BITS) & metrics["evaluated_on"].isin(shown)]
    base = bits[bits["method"] == BASE].groupby("evaluated_on")["value"].mean()
    rows = []
    for method in adapted(metrics):
        rows += [(method, home, domain, 0.0) for domain in shown if domain in base.index]
        own = bits[bits["method"] == method]
        for (stage, domain), cell in own.groupby(["trained_through", "evaluated_on"], sort=False):
            change = cell["value"].mean(skipna=False) - base.get(domain, math.nan)
            rows.append((method, stage, domain, change))
    return pd.DataFrame(rows, columns=["method", "trained_through", "evaluated_on", "change"])


def learned_at_once(metrics: pd.DataFrame, method: str) -> pd.Series:
    """Return how far bits per byte fell on each task right after it was trained, as means by seed.

    The fall is from the base model, so later tasks take nothing away from it. NaN for the base
    model, and where a task was not measured when it was trained.
    """
    bits = metrics[metrics["metric"] == BITS]
    own = bits[(bits["method"] == method) & (bits["trained_through"] == bits["evaluated_on"])]
    gains = [
        by_seed(metrics, BASE, BITS, task).mean()
        - own[own["evaluated_on"] == task].groupby("seed")["value"].mean()
        for task in tasks(metrics)
    ]
    return pd.concat(gains, axis=1).mean(axis=1, skipna=False)


def transfer_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return what was learned, kept and transferred: one row a method.

    All in bits per byte, as means over seeds beside their intervals; p values are of
    `paired_tests` against `reference_method`, corrected over all tests of the table. A sequence
    of one task has no columns of transfer. ``learned`` is the gain on each task right after it was
    trained. What a model answers that is told the task of a text is in no column.
    """
    runs = learning_and_forgetting(metrics)
    tests = paired_tests(runs, reference_method(metrics)).set_index(["method", "measure"])["p_holm"]
    rows = []
    for method in in_order(metrics["method"]):
        own = runs[runs["method"] == method].set_index("seed")
        row: dict[str, object] = {"method": method}
        put(row, AVERAGE, task_mean(metrics, method, BITS))
        put(row, "learned", learned_at_once(metrics, method))
        for measure in ("gain", "loss"):
            put(row, measure, own[measure])
            row[f"{measure}_p"] = tests.get((method, measure), math.nan)
        for measure in TRANSFERS if len(tasks(metrics)) > 1 else ():
            put(row, measure, by_seed(metrics, method, measure, SEQUENCE))
        row["seeds"] = metrics.loc[metrics["method"] == method, "seed"].nunique()
        rows.append(row)
    return pd.DataFrame(rows)


def methods_table(efficiency: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """Return how each method was set and what it took: one row a method, the base model left out.

    A run whose rate was given and not searched for has none in the grid, and a dash in the table.
    """
    chosen, tried = chosen_rates(grid), rates_tried(grid)
    rows = []
    for method in in_order(efficiency["method"]):
        if method == BASE:
            continue
        cost = efficiency[efficiency["method"] == method]
        row: dict[str, object] = {"method": method}
        row["trainable_parameters"] = cost["trainable_parameters"].mean()
        row["trainable_percent"] = cost["trainable_percent"].mean()
        row["learning_rate"] = chosen.get(method, math.nan)
        row["rates_tried"] = len(tried[method]) if method in tried else math.nan
        put(row, "tokens_per_second", cost["tokens_per_second"])
        put(row, "peak_memory_mib", cost["peak_memory_mib"])
        row["seeds"] = cost["seed"].nunique()
        rows.append(row)
    return pd.DataFrame(rows)
