"""The figure of retention: how far every method is from the base model after every task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, pyplot
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jadapt.analysis.labels import domain_label, in_order, method_label
from jadapt.analysis.summaries import home_domain, tasks
from jadapt.analysis.transfer_tables import stage_changes
from jadapt.core.errors import UserError
from jadapt.figures import style

COLUMNS = 3
# Blue is better and red is worse; the pair stays apart for colour-blind readers.
COLOURS = "RdBu_r"


def retention(metrics: pd.DataFrame) -> Figure:
    """Draw one panel a method: stages of training down, domains across, changes in bits per byte.

    Cells are means over seeds against the base model; a frame marks the task just trained.
    """
    changes = stage_changes(metrics)
    if changes["change"].notna().sum() == 0:
        raise UserError("metrics.csv: no method has bits_per_byte on English or on a task")
    home, trained = home_domain(metrics), tasks(metrics)
    stages = shown = [home, *trained]
    methods = in_order(changes["method"])
    columns = min(COLUMNS, len(methods))
    rows = -(-len(methods) // columns)
    height = rows * (0.42 + 0.2 * len(stages)) + 1.1
    figure, axes = pyplot.subplots(
        rows,
        columns,
        # Room for the names of the stages, and at most a third of the rest for a panel.
        figsize=(0.9 + columns * (style.WIDTH - 0.9) / COLUMNS, height),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    limit = changes["change"].abs().max() or 1.0
    norm = Normalize(-limit, limit)
    for axis, method in zip(axes.flat, methods, strict=False):
        table = changes[changes["method"] == method].pivot(
            index="trained_through", columns="evaluated_on", values="change"
        )
        draw_changes(axis, table.reindex(index=stages, columns=shown).to_numpy(), norm)
        axis.set_title(method_label(method), fontsize=style.SMALLEST)
        axis.set_yticks(
            range(len(stages)), ["base model", *(f"after {domain_label(task)}" for task in trained)]
        )
        axis.set_xticks(
            range(len(shown)),
            [domain_label(home).capitalize(), *map(domain_label, trained)],
            rotation=90,
        )
        # Domains are named above the first row, which alone has a panel in every column.
        axis.tick_params(length=0, labelbottom=False, labeltop=axis in axes[0])
    for axis in axes.flat[len(methods) :]:
        axis.set_visible(False)
    scale = figure.colorbar(
        pyplot.cm.ScalarMappable(norm, COLOURS),
        ax=axes,
        location="bottom",
        aspect=12 * columns,
        pad=0.1 / height,
    )
    outline: Any = scale.outline
    outline.set_visible(False)
    words = ("change against the base model,", "bits per byte (below zero: better)")
    scale.set_label((" " if columns > 2 else "\n").join(words))
    return figure


def draw_changes(axis: Axes, values: np.ndarray, norm: Normalize) -> None:
    """Draw one matrix of shape (stages, domains) with its numbers in the cells."""
    axis.grid(False)
    axis.imshow(
        values, cmap=colormaps[COLOURS].with_extremes(bad="#eeeeee"), norm=norm, aspect="auto"
    )
    for row, column in np.ndindex(values.shape):
        value = float(values[row, column])
        dark = np.isfinite(value) and abs(norm(value) - 0.5) > 0.3
        axis.text(
            column, row, _number(value), ha="center", va="center", fontsize=style.SMALLEST,
            color="white" if dark else "#222222",
        )  # fmt: skip
        if row and row == column:
            axis.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5),
                    1,
                    1,
                    fill=False,
                    edgecolor="#222222",
                    linewidth=1,
                    zorder=3,
                )
            )
    for side in axis.spines.values():
        side.set_visible(False)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "–"
    text = f"{value + 0.0:+.2f}".replace("-", "−")
    return "0" if text in ("+0.00", "−0.00") else text
