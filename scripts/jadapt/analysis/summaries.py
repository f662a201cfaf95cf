"""What the tables of measurements say: final results, learning and forgetting, costs, corpora."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jadapt.analysis.labels import BASE, SCRIPTS, in_order
from jadapt.analysis.printing import INTERVAL
from jadapt.analysis.statistics import estimate, summarise
from jadapt.core.errors import UserError

ACCURACY = "next_character_accuracy"
BITS = "bits_per_byte"
CHARACTER_BITS = "bits_per_character"


def home_domain(metrics: pd.DataFrame) -> str:
    """Return the domain that the base model was made from (English)."""
    trained = metrics.loc[metrics["method"] == BASE, "trained_through"]
    if trained.empty:
        raise UserError(f"metrics.csv: no rows of method '{BASE}'; evaluate the base model first")
    return trained.iloc[0]


def tasks(metrics: pd.DataFrame) -> list[str]:
    """Return the tasks in the order of training, which is that of the rows."""
    return list(metrics.loc[metrics["method"] != BASE, "trained_through"].unique())


def domains(metrics: pd.DataFrame) -> list[str]:
    """Return the domains that were evaluated: tasks, then the base model's, then the others."""
    evaluated = list(metrics.loc[metrics["metric"] == BITS, "evaluated_on"].unique())
    first = [name for name in [*tasks(metrics), home_domain(metrics)] if name in evaluated]
    return first + [name for name in evaluated if name not in first]


def adapted(metrics: pd.DataFrame) -> list[str]:
    """Return the methods that adapted the base model, in the house order."""
    return [name for name in in_order(metrics["method"]) if name != BASE]


def final(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each method after its last task, and all rows of the base model."""
    last = metrics.groupby("method", sort=False)["trained_through"].transform("last")
    return metrics[metrics["trained_through"] == last]


def by_seed(metrics: pd.DataFrame, method: str, metric: str, domain: str) -> pd.Series:
    """Return the final values of one metric as a series over seeds; empty when not measured."""
    rows = final(metrics)
    rows = rows[
        (rows["method"] == method) & (rows["metric"] == metric) & (rows["evaluated_on"] == domain)
    ]
    return rows.groupby("seed")["value"].mean()


def task_mean(metrics: pd.DataFrame, method: str, metric: str) -> pd.Series:
    """Return a metric averaged over the tasks, as a series over seeds."""
    columns = [by_seed(metrics, method, metric, task) for task in tasks(metrics)]
    # A plain mean, not one that skips: a task that one seed lacks must not flatter that seed.
    return pd.concat(columns, axis=1).mean(axis=1, skipna=False)


def against_base(values: pd.Series, base: pd.Series) -> pd.Series:
    """Return ``values`` minus the base model's, seed by seed; one base model serves all seeds."""
    if len(base) == 1:
        return values - base.iloc[0]
    return values - base.reindex(values.index).fillna(base.mean())


def learning_and_forgetting(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row a method and seed: ``gain`` and ``loss`` in bits per byte.

    ``gain`` is how far bits per byte fell on the tasks' domains (their mean) from the base model to
    the end of training; ``loss`` is how far they rose on the base model's own domain.
    """
    home = home_domain(metrics)
    base_tasks = task_mean(metrics, BASE, BITS)
    base_home = by_seed(metrics, BASE, BITS, home)
    rows = []
    for method in adapted(metrics):
        gain = -against_base(task_mean(metrics, method, BITS), base_tasks)
        loss = against_base(by_seed(metrics, method, BITS, home), base_home)
        rows += [
            {"method": method, "seed": seed, "gain": gain[seed], "loss": loss[seed]}
            for seed in gain.index.intersection(loss.index)
        ]
    return pd.DataFrame(rows, columns=["method", "seed", "gain", "loss"])


def by_script(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the final values of a metric on the tasks by script: one row a value.

    Args:
        metrics: the table of metrics.
        metric: `ACCURACY` (shares from 0 to 1) or `CHARACTER_BITS` (bits per character).

    Columns ``method``, ``seed``, ``domain``, ``script`` and ``value``.
    """
    rows = final(metrics)
    prefix = f"{metric}_"
    rows = rows[rows["metric"].str.startswith(prefix) & rows["evaluated_on"].isin(tasks(metrics))]
    rows = rows.assign(script=rows["metric"].str.removeprefix(prefix), domain=rows["evaluated_on"])
    rows = rows[rows["script"].isin(SCRIPTS)]
    return rows[["method", "seed", "domain", "script", "value"]].reset_index(drop=True)


def results_table(metrics: pd.DataFrame, efficiency: pd.DataFrame) -> pd.DataFrame:
    """Return the main table: one row a method, means over seeds beside their intervals."""
    home, trained = home_domain(metrics), tasks(metrics)
    rows = []
    for method in in_order(metrics["method"]):
        row: dict[str, object] = {"method": method}
        # What the base model cost is no cost of adaptation; the table of costs has it.
        cost = efficiency[(efficiency["method"] == method) & (method != BASE)]
        row["trainable_percent"] = cost["trainable_percent"].mean()
        for domain in domains(metrics):
            put(row, f"{BITS}:{domain}", by_seed(metrics, method, BITS, domain))
        put(row, f"retention:{home}", by_seed(metrics, method, f"{home}_retention", home))
        part = trained[0] if len(trained) == 1 else "mean of tasks"
        put(row, f"{ACCURACY}:{part}", task_mean(metrics, method, ACCURACY))
        row["seeds"] = metrics.loc[metrics["method"] == method, "seed"].nunique()
        rows.append(row)
    return pd.DataFrame(rows)


def put(row: dict[str, object], name: str, values: pd.Series) -> None:
    """Add the mean of one value a seed to a row of a table, and the half-width beside it."""
    found = estimate(values)
    row[name], row[f"{name}:{INTERVAL}"] = found.mean, found.half_width


def efficiency_table(efficiency: pd.DataFrame) -> pd.DataFrame:
    """Return the table of costs: one row a method, means over seeds beside their intervals.

    The device has a column only where runs were made on several.
    """
    rows = []
    for method in in_order(efficiency["method"]):
        runs = efficiency[efficiency["method"] == method]
        row: dict[str, object] = {"method": method}
        for name in ("parameters", "trainable_parameters", "steps", "tokens"):
            row[name] = runs[name].mean()
        for name in ("tokens_per_second", "training_seconds", "seconds", "peak_memory_mib"):
            put(row, name, runs[name])
        if efficiency["device"].nunique() > 1:
            row["device"] = ", ".join(sorted(set(runs["device"])))
        row["seeds"] = runs["seed"].nunique()
        rows.append(row)
    return pd.DataFrame(rows)


def corpora_table(corpora: pd.DataFrame) -> pd.DataFrame:
    """Return the table of corpora: sizes, licences and the share of each script in per cent."""
    kept = corpora[["domain", "language", "source", "licence"]].copy()
    for name in ("documents", "characters", "bytes"):
        kept[name] = corpora[name].where(corpora["available"])
    written = corpora["characters"].where(corpora["available"] & (corpora["characters"] > 0))
    for script in SCRIPTS:
        kept[f"script_share:{script}"] = 100 * corpora[script] / written
    kept.loc[~corpora["available"], "source"] = [
        f"{name} (not reached)" for name in corpora.loc[~corpora["available"], "source"]
    ]
    return kept


def curve_points(curves: pd.DataFrame, metric: str, *, points: int = 80) -> pd.DataFrame:
    """Return one curve a method and task over all tokens seen, as means and intervals over seeds.

    Tokens count on across tasks. Of a long curve, neighbouring points are averaged until at most
    ``points`` are left. Columns: ``method``, ``task``, ``tokens``, ``mean``, ``half_width``,
    ``low``, ``high``, ``n``.
    """
    by = ["method", "task", "tokens"]
    rows = curves[(curves["metric"] == metric) & (curves["method"] != BASE)]
    rows = rows.dropna(subset=["value"])
    if rows.empty:
        return summarise(rows, by)
    pieces = []
    for (method, seed), run in rows.groupby(["method", "seed"], sort=False):
        for task, line in continuous(run).groupby("task", sort=False):
            width = -(-len(line) // points)
            bins = np.arange(len(line)) // width
            line = line.groupby(bins)[["tokens", "value"]].mean()
            pieces.append(line.assign(method=method, task=task, seed=seed))
    return summarise(pd.concat(pieces), by)


def continuous(run: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one run with ``tokens`` counted on from task to task.

    A count that already goes on is left as it is; one that starts again is moved behind the last.
    """
    parts: list[pd.DataFrame] = []
    seen = 0.0
    for _, part in run.groupby("task", sort=False):
        part = part.sort_values("tokens")
        shift = seen if parts and part["tokens"].iloc[0] < seen else 0.0
        parts.append(part.assign(tokens=part["tokens"] + shift))
        seen = parts[-1]["tokens"].max()
    return pd.concat(parts, ignore_index=True)


def task_ends(curves: pd.DataFrame) -> list[tuple[str, float]]:
    """Return each task with the tokens seen at its end, as the first run in the table has it."""
    rows = curves[curves["method"] != BASE]
    if rows.empty:
        return []
    method, seed = rows.iloc[0][["method", "seed"]]
    run = rows[(rows["method"] == method) & (rows["seed"] == seed)]
    line = continuous(run)
    return [(task, float(part["tokens"].max())) for task, part in line.groupby("task", sort=False)]
