"""The functions of the ledger's expressions, over the tables of a study.

A measurement is a series over seeds, so that differences and ratios pair the seeds; what has one
value only, as the base model or a count that no seed changes, is a plain number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from jadapt.analysis import dynamics, parameter_counts, summaries
from jadapt.analysis.adapted_models import Tables
from jadapt.analysis.expressions import LAYERS, SOURCE, TASKS
from jadapt.analysis.labels import BASE

EXTREMES = {"lowest": pd.Series.idxmin, "highest": pd.Series.idxmax}
# Costs that follow from the configuration and not from chance.
COUNTED = ("parameters", "trainable_parameters", "trainable_percent", "steps", "tokens")


class Untestable(Exception):
    """Why a study has nothing to measure an expression with."""


class Measures:
    """The functions, bound to one study; ``used`` names the runs that were read."""

    def __init__(self, tables: Tables, model_shapes: dict[str, dict[str, int]]):
        self.tables = tables
        self.shapes = model_shapes
        self.used: set[tuple[str, int]] = set()
        self.home = summaries.home_domain(tables.metrics)
        self.tasks = summaries.tasks(tables.metrics)
        self._changes = summaries.learning_and_forgetting(tables.metrics)

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return what an expression may call, by the names in `jadapt.analysis.expressions`."""
        return {
            "measured": self.measured,
            "gain": lambda run: self._change(run, "gain"),
            "loss": lambda run: self._change(run, "loss"),
            "cost": self.cost,
            "ablation": self.ablation,
            "steps_to_converge": lambda run: self._course(run, dynamics.steps_to_converge),
            "variance_at_end": lambda run: self._course(run, dynamics.variance_at_end),
            "lowest_validation_step": lambda run: self._course(
                run, dynamics.lowest_validation_step
            ),
            "validation_rise": self.validation_rise,
            "total_parameters": lambda shape: parameter_counts.total_parameters(self.shapes[shape]),
            "lora_parameters": lambda shape, rank, layers: parameter_counts.lora_parameters(
                self.shapes[shape], rank, LAYERS[layers]
            ),
            "lora_choices": lambda shape, rank, count: parameter_counts.lora_choices(
                self.shapes[shape], rank, count
            ),
        }

    def measured(self, run: str, domain: str, metric: str) -> pd.Series | float:
        """Return a metric of a run after its last task; on ``tasks``, their mean."""
        self._need(run, self.tables.metrics)
        if metric == "retention":
            metric = f"{self.home}_retention"
        if domain == TASKS:
            values = summaries.task_mean(self.tables.metrics, run, metric)
        else:
            where = self.home if domain == SOURCE else domain
            values = summaries.by_seed(self.tables.metrics, run, metric, where)
        if values.empty:
            raise Untestable(f"the study measures no {metric.replace('_', ' ')} on {domain}")
        return self._noted(run, values)

    def _change(self, run: str, measure: str) -> pd.Series:
        self._need(run, self._changes)
        own = self._changes[self._changes["method"] == run]
        return self._noted(run, own.set_index("seed")[measure])

    def cost(self, run: str, column: str) -> pd.Series | float:
        """Return a column of the table of costs."""
        rows = self._need(run, self.tables.efficiency)
        values = rows.set_index("seed")[column]
        self._noted(run, values)
        if column in COUNTED and values.nunique() == 1:
            return float(values.iloc[0])
        return self._noted(run, values)

    def ablation(self, name: str, variant: str, domain: str, metric: str) -> pd.Series:
        """Return a metric of a varied run at its chosen rate, on validation text.

        ``variant`` is a value, or ``lowest`` or ``highest`` of those that are numbers.
        """
        grid = self.tables.grid
        rows = pd.DataFrame() if grid is None or grid.empty else grid[grid["ablation"] == name]
        if rows.empty:
            raise Untestable(f"the study has no ablation '{name}'")
        if variant in EXTREMES:
            numbers = pd.to_numeric(rows["variant"], errors="coerce")
            if numbers.nunique() < 2:
                raise Untestable(f"the ablation '{name}' has no two numbers to compare")
            variant = rows["variant"][EXTREMES[variant](numbers)]
        rows = rows[(rows["variant"] == variant) & (rows["metric"] == metric) & rows["selected"]]
        places = {TASKS: self.tasks, SOURCE: [self.home]}.get(domain, [domain])
        rows = rows[rows["evaluated_on"].isin(places)]
        if rows.empty:
            raise Untestable(f"the ablation '{name}' has no value '{variant}'")
        return rows.groupby("seed")["value"].agg(lambda values: values.mean(skipna=False))

    def validation_rise(self, run: str) -> pd.Series | float:
        """Return how far the validation loss rose after its turning point."""
        rows = self._need(run, self.tables.curves)
        if rows["seed"].nunique() < 2:
            raise Untestable("the turning point of a single seed cannot be told from noise")
        return self._course(run, dynamics.validation_rise)

    def _course(self, run: str, measure: Callable[[pd.DataFrame, str], pd.Series]) -> pd.Series:
        self._need(run, self.tables.curves)
        return self._noted(run, measure(self.tables.curves, run))

    def _need(self, run: str, table: pd.DataFrame) -> pd.DataFrame:
        rows = table[table["method"] == run]
        if rows.empty:
            raise Untestable(f"the study has no run '{run}'")
        return rows

    def _noted(self, run: str, values: pd.Series) -> pd.Series | float:
        self.used |= {(run, int(seed)) for seed in values.index}
        if run == BASE and len(values) == 1:
            return float(values.iloc[0])
        return values
