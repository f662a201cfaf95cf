"""What ``grid.csv`` says: learning rates tried and chosen, points to draw, ablations.

All losses are bits per byte on the validation splits of the known domain and the first task, after
training on that task alone.
"""

from __future__ import annotations

import math

import pandas as pd

from jadapt.analysis.labels import BASE, in_order, setting_label
from jadapt.analysis.printing import MARK
from jadapt.analysis.rate_search import points
from jadapt.analysis.summaries import BITS
from jadapt.core.errors import UserError

AT_RATE = "validation_at_rate"
CHOSEN, DIVERGED = "*", "div."
ABLATION = ["ablation", "method", "variant", "seed"]
# What the points of an ablation may say of themselves, and the columns that it is printed in.
OF_VARIANTS = {
    "trainable_parameters": "trainable_parameters",
    "median_tokens_per_second": "tokens_per_second",
    "peak_memory_mib": "peak_memory_mib",
    "loss_scale": "loss_scale",
    "skipped_steps": "skipped_steps",
}


def grid_domains(grid: pd.DataFrame) -> tuple[str, str]:
    """Return the known domain and the first task: the base model's rows name them in this order."""
    base = grid[(grid["method"] == BASE) & (grid["metric"] == BITS)]
    found = list(base["evaluated_on"].unique())
    if len(found) != 2:
        raise UserError(
            "grid.csv: expected bits_per_byte of the base model on the known domain and on the "
            f"first task, found it on {', '.join(found) or 'none'}; remake the table"
        )
    return found[0], found[1]


def base_bits(grid: pd.DataFrame) -> pd.Series:
    """Return the base model's bits per byte by domain."""
    base = grid[(grid["method"] == BASE) & (grid["metric"] == BITS)]
    return base.groupby("evaluated_on")["value"].mean()


def searched(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the learning-rate grid: no base model, no ablation."""
    return grid[(grid["ablation"] == "") & (grid["method"] != BASE)]


def rates_tried(grid: pd.DataFrame) -> dict[str, list[float]]:
    """Return the learning rates of each method of the grid, the lowest first."""
    rows = searched(grid)
    return {
        method: sorted(map(float, rows.loc[rows["method"] == method, "learning_rate"].unique()))
        for method in in_order(rows["method"])
    }


def chosen_rates(grid: pd.DataFrame) -> dict[str, float]:
    """Return the learning rate that was chosen for each method of the grid."""
    rows = searched(grid)
    return rows[rows["selected"]].groupby("method")["learning_rate"].first().astype(float).to_dict()


def grid_points(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the grid as points: ``method``, ``learning_rate``, ``gain``, ``loss``, ``selected``.

    ``gain`` is how far bits per byte fell on the task from the base model, ``loss`` how far they
    rose on the known domain, as means over the grid's seeds. Diverged points are left out.
    """
    home, task = grid_domains(grid)
    base = base_bits(grid)
    chosen = chosen_rates(grid)
    found = points(grid, home, task)
    return found.assign(
        gain=base[task] - found["task"],
        loss=found["home"] - base[home],
        selected=[
            chosen.get(method) == rate
            for method, rate in zip(found["method"], found["learning_rate"], strict=True)
        ],
    )


def diverged_points(grid: pd.DataFrame) -> dict[str, list[float]]:
    """Return the learning rates at which a seed of a method diverged."""
    rows = searched(grid)
    rows = rows[(rows["metric"] == BITS) & rows["value"].isna()]
    return {
        method: sorted(map(float, rows.loc[rows["method"] == method, "learning_rate"].unique()))
        for method in in_order(rows["method"])
    }


def learning_rates_table(grid: pd.DataFrame) -> pd.DataFrame:
    """Return validation bits per byte of each method and domain (rows) by learning rate (columns).

    Means over the grid's seeds; a mark says which rate was chosen and where training diverged.
    """
    rows = searched(grid)
    rows = rows[rows["metric"] == BITS]
    chosen = chosen_rates(grid)
    rates = sorted(map(float, rows["learning_rate"].unique()))
    found = []
    for method in in_order(rows["method"]):
        own = rows[rows["method"] == method]
        for domain in reversed(grid_domains(grid)):
            here = own[own["evaluated_on"] == domain]
            row: dict[str, object] = {"method": method, "measured_on": domain}
            for rate in rates:
                values = here.loc[here["learning_rate"] == rate, "value"]
                mean = values.mean(skipna=False) if len(values) else math.nan
                lost = len(values) > 0 and math.isnan(mean)
                mark = CHOSEN if chosen.get(method) == rate and not lost else ""
                row[f"{AT_RATE}:{rate!r}"] = mean
                row[f"{AT_RATE}:{rate!r}:{MARK}"] = DIVERGED if lost else mark
            found.append(row)
    return pd.DataFrame(found, columns=None if found else ["method", "measured_on"])


def ablation_points(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the ablations, every variant at the rate chosen for it: one row per seed.

    Columns ``ablation``, ``method``, ``variant``, ``seed``, ``gain`` and ``loss`` (as in
    `grid_points`), ``learning_rate`` and ``trainable_parameters``.
    """
    rows = grid[(grid["ablation"] != "") & grid["selected"]]
    if rows.empty:
        return pd.DataFrame(
            columns=[*ABLATION, "learning_rate", "gain", "loss", "trainable_parameters"]
        )
    home, task = grid_domains(grid)
    base = base_bits(grid)
    sizes = rows[rows["metric"] == "trainable_parameters"]
    sizes = sizes.groupby(["ablation", "variant"])["value"].first()
    bits = rows[rows["metric"] == BITS]
    by = [*ABLATION, "learning_rate"]
    values = {
        domain: bits[bits["evaluated_on"] == domain].groupby(by, sort=False)["value"].first()
        for domain in (home, task)
    }
    found = pd.DataFrame({"gain": base[task] - values[task], "loss": values[home] - base[home]})
    found = found.reset_index()
    keys = list(zip(found["ablation"], found["variant"], strict=True))
    return found.assign(trainable_parameters=[sizes.get(key, math.nan) for key in keys])


def variants_table(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the ablations: one row per value, at the rate chosen for it, as means over seeds.

    Bits per byte are those of validation text; speed and memory have columns where ablations were
    run that write them down, and so has the loss scale of ``16-mixed``.
    """
    rows = grid[(grid["ablation"] != "") & grid["selected"]]
    found = []
    for (name, method, variant), own in rows.groupby(ABLATION[:3], sort=False):
        row: dict[str, object] = {
            "method": method,
            "setting": setting_label(name, method),
            "variant": variant,
            "learning_rate": float(own["learning_rate"].iloc[0]),
        }
        for domain in reversed(grid_domains(grid)):
            bits = own[(own["metric"] == BITS) & (own["evaluated_on"] == domain)]
            row[f"{BITS}:{domain}"] = bits["value"].mean()
        for metric, column in OF_VARIANTS.items():
            row[column] = own.loc[own["metric"] == metric, "value"].mean()
        found.append(row)
    if not found:
        # Of a study that varies nothing: its columns stay, since without any it is no table.
        return pd.DataFrame(columns=["method", "setting", "variant"])
    return pd.DataFrame(found).dropna(axis="columns", how="all")
