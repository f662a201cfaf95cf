"""The figure of convergence: losses over the tokens seen."""

from __future__ import annotations

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from jadapt.analysis.labels import FAMILIES, REFERENCE, domain_label, families, in_order
from jadapt.analysis.summaries import curve_points, task_ends
from jadapt.core.errors import UserError
from jadapt.figures import style
from jadapt.figures.legends import handles, legend

VALIDATION = "_validation_loss"
# More lines than this cannot be followed in one panel.
CROWD = 6


def curve_titles(curves: pd.DataFrame) -> dict[str, str]:
    """Return the losses to draw with their titles: training, the task, then other domains."""
    titles = {"training_loss": "Training loss", "validation_loss": "Validation loss, task"}
    for metric in curves["metric"].unique():
        if metric.endswith(VALIDATION):
            domain = domain_label(metric.removesuffix(VALIDATION)).capitalize()
            titles[metric] = f"Validation loss, {domain}"
    return titles


def convergence(curves: pd.DataFrame) -> Figure:
    """Draw the losses of all methods over the tokens seen.

    A few methods share one panel a kind of loss; many stand in columns, one a family, with the
    references in each. Lines are means over seeds, bands their 95 % intervals; a single seed has
    no band.
    """
    titles = curve_titles(curves)
    lines = {metric: curve_points(curves, metric) for metric in titles}
    lines = {metric: points for metric, points in lines.items() if not points.empty}
    if not lines:
        raise UserError(f"curves.csv: no row's metric is one of {', '.join(titles)}")
    methods = in_order(pd.concat(lines.values())["method"])
    ends = task_ends(curves)
    if len(methods) > CROWD:
        return _by_family(lines, titles, methods, ends)
    figure, axes = style.grid(len(lines), height=2.3)
    for axis, (metric, points) in zip(axes, lines.items(), strict=True):
        draw_curves(axis, points, methods)
        mark_tasks(axis, ends)
        axis.set_title(titles[metric], pad=13 if len(ends) > 1 else None)
        axis.set_xlabel("training tokens")
    axes[0].set_ylabel("nats per token")
    legend(figure, methods, lines=True)
    return figure


def family_columns(methods: list[str]) -> dict[str, list[str]]:
    """Return the methods of each column by its title: a family, and the references in all."""
    found = families(methods)
    shared = found.pop(REFERENCE, [])
    if not found:
        return {FAMILIES[REFERENCE]: shared}
    return {FAMILIES[key]: in_order([*shared, *names]) for key, names in found.items()}


def _by_family(
    lines: dict[str, pd.DataFrame],
    titles: dict[str, str],
    methods: list[str],
    ends: list[tuple[str, float]],
) -> Figure:
    """Draw losses in rows and families in columns, with a legend beneath each column."""
    columns = family_columns(methods)
    figure, axes = pyplot.subplots(
        len(lines),
        len(columns),
        figsize=(style.WIDTH, 1.55 * len(lines) + 1.2),
        squeeze=False,
        sharex=True,
        sharey="row",
        layout="constrained",
    )
    for row, (metric, points) in zip(axes, lines.items(), strict=True):
        for axis, names in zip(row, columns.values(), strict=True):
            draw_curves(axis, points[points["method"].isin(names)], names, fine=True)
        span(row, points)
        for axis in row:
            mark_tasks(axis, ends)
        row[0].set_ylabel(f"{titles[metric]},\nnats per token", fontsize=style.SMALLEST)
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title, pad=13)
    for axis, names in zip(axes[-1], columns.values(), strict=True):
        axis.set_xlabel("training tokens")
        axis.legend(
            handles=handles(names, lines=True),
            loc="upper left",
            bbox_to_anchor=(0, -0.34),
            handlelength=2.6,
            fontsize=style.SMALLEST,
            borderaxespad=0,
        )
    figure.align_ylabels(axes[:, 0])
    return figure


def draw_curves(
    axis: Axes, points: pd.DataFrame, methods: list[str], *, fine: bool = False
) -> None:
    """Draw a line and a band for each method and task; the axis spans the means, not the bands."""
    looks = style.looks(methods)
    for (method, _), line in points.groupby(["method", "task"], sort=False):
        look = looks[method]
        line = line.sort_values("tokens")
        axis.plot(
            line["tokens"],
            line["mean"],
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker if len(line) <= 12 else None,
            linewidth=1.0 if fine else 1.4,
            markersize=2.8 if fine else 3.5,
            zorder=3,
        )
        axis.fill_between(
            line["tokens"], line["low"], line["high"], color=look.colour, alpha=0.15, linewidth=0
        )
    span([axis], points)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.xaxis.set_major_locator(MaxNLocator(4))


def span(axes: list[Axes], points: pd.DataFrame) -> None:
    """Let vertical axes reach over the means, whatever the bands do."""
    finite = points["mean"].dropna()
    if len(finite) and finite.min() < finite.max():
        room = 0.08 * (finite.max() - finite.min())
        for axis in axes:
            axis.set_ylim(finite.min() - room, finite.max() + room)


def mark_tasks(axis: Axes, ends: list[tuple[str, float]]) -> None:
    """Mark where one task ends and the next begins, with the tasks' names."""
    if len(ends) < 2:
        return
    start = 0.0
    for index, (task, end) in enumerate(ends):
        if index:
            axis.axvline(start, color="#999999", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axis.annotate(
            domain_label(task),
            ((start + end) / 2, 1.0),
            xycoords=axis.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=style.SMALLEST,
            color="#555555",
        )
        start = end
