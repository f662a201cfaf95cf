"""The figures: each function draws one idea; `style.save` writes what they return."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from jadapt.errors import UserError
from jadapt.reporting import style
from jadapt.reporting.labels import SCRIPTS, domain_label, in_order, method_label
from jadapt.reporting.statistics import estimate, summarise
from jadapt.reporting.summaries import (
    accuracy_by_script,
    curve_points,
    home_domain,
    learning_and_forgetting,
    task_ends,
    tasks,
)

VALIDATION = "_validation_loss"


def curve_titles(curves: pd.DataFrame) -> dict[str, str]:
    """Return the losses to draw with their titles: training, the task, then other domains."""
    titles = {"training_loss": "Training loss", "validation_loss": "Validation loss, task"}
    for metric in curves["metric"].unique():
        if metric.endswith(VALIDATION):
            domain = domain_label(metric.removesuffix(VALIDATION)).capitalize()
            titles[metric] = f"Validation loss, {domain}"
    return titles


def convergence(curves: pd.DataFrame) -> Figure:
    """Draw the losses of all methods over the tokens seen, one panel a kind of loss.

    Lines are means over seeds, bands their 95 % intervals; a single seed has no band.
    """
    titles = curve_titles(curves)
    lines = {metric: curve_points(curves, metric) for metric in titles}
    lines = {metric: points for metric, points in lines.items() if not points.empty}
    if not lines:
        raise UserError(f"curves.csv: no row's metric is one of {', '.join(titles)}")
    figure, axes = style.grid(len(lines), height=2.3)
    methods = in_order(pd.concat(lines.values())["method"])
    ends = task_ends(curves)
    for axis, (metric, points) in zip(axes, lines.items(), strict=True):
        draw_curves(axis, points, methods)
        mark_tasks(axis, ends)
        axis.set_title(titles[metric])
        axis.set_xlabel("training tokens")
    axes[0].set_ylabel("nats per token")
    legend(figure, methods, lines=True)
    return figure


def draw_curves(axis: Axes, points: pd.DataFrame, methods: list[str]) -> None:
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
            markersize=3.5,
            zorder=3,
        )
        axis.fill_between(
            line["tokens"], line["low"], line["high"], color=look.colour, alpha=0.2, linewidth=0
        )
    finite = points["mean"].dropna()
    if len(finite) and finite.min() < finite.max():
        room = 0.15 * (finite.max() - finite.min())
        axis.set_ylim(finite.min() - room, finite.max() + room)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.xaxis.set_major_locator(MaxNLocator(4))


def mark_tasks(axis: Axes, ends: list[tuple[str, float]]) -> None:
    """Mark where one task ends and the next begins, with the tasks' names."""
    if len(ends) < 2:
        return
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.1 * (high - low))
    start = 0.0
    for index, (task, end) in enumerate(ends):
        if index:
            axis.axvline(start, color="#999999", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axis.annotate(
            domain_label(task),
            ((start + end) / 2, 0.985),
            xycoords=axis.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=6.5,
            color="#555555",
        )
        start = end


def forgetting(metrics: pd.DataFrame) -> Figure:
    """Draw what each method learned against what it forgot, in bits per byte.

    Small markers are seeds; the large one is their mean, its bars the 95 % intervals.
    """
    runs = learning_and_forgetting(metrics)
    if runs.empty:
        raise UserError("metrics.csv: no method has bits_per_byte on a task and on English")
    figure, (axis,) = style.grid(1, height=3.1)
    figure.set_size_inches(4.6, 3.1)
    methods = in_order(runs["method"])
    for method, look in style.looks(methods).items():
        seeds = runs[runs["method"] == method]
        if len(seeds) > 1:
            axis.scatter(
                seeds["gain"], seeds["loss"], s=16, marker=look.marker, color=look.colour,
                alpha=0.45, linewidths=0, zorder=2,
            )  # fmt: skip
        gain, loss = estimate(seeds["gain"]), estimate(seeds["loss"])
        axis.errorbar(
            gain.mean,
            loss.mean,
            xerr=gain.half_width if gain.has_interval else None,
            yerr=loss.half_width if loss.has_interval else None,
            color=look.colour,
            marker=look.marker,
            markersize=7,
            markeredgecolor="white",
            markeredgewidth=0.6,
            elinewidth=1,
            capsize=2.5,
            zorder=4,
        )
    axis.axhline(0, color="#999999", linewidth=0.7, zorder=1)
    axis.annotate(
        "nothing forgotten", (1, 0), xycoords=axis.get_yaxis_transform(), xytext=(-2, 2),
        textcoords="offset points", ha="right", va="bottom", fontsize=6.5, color="#555555",
    )  # fmt: skip
    axis.margins(0.12)
    trained = tasks(metrics)
    where = domain_label(trained[0]) if len(trained) == 1 else "mean of tasks"
    axis.set_xlabel(f"Japanese gain ({where}), bits per byte →")
    axis.set_ylabel(f"← {domain_label(home_domain(metrics)).capitalize()} loss, bits per byte")
    legend(figure, methods, above=True)
    return figure


def scripts(metrics: pd.DataFrame) -> Figure:
    """Draw next-character accuracy by script, one panel a task, means with bars over seeds."""
    values = accuracy_by_script(metrics)
    if values.empty:
        raise UserError("metrics.csv: no row's metric is next_character_accuracy_SCRIPT on a task")
    methods = in_order(values["method"])
    panels = [task for task in tasks(metrics) if task in set(values["domain"])]
    shown = [script for script in SCRIPTS if script in set(values["script"])]
    figure, axes = style.grid(len(panels), height=2.5, columns=2, share_y=True)
    for axis, task in zip(axes, panels, strict=True):
        draw_scripts(axis, values[values["domain"] == task], methods, shown)
        if len(panels) > 1:
            axis.set_title(domain_label(task))
    for axis in axes[::2]:
        axis.set_ylabel("next-character accuracy, %")
    legend(figure, methods)
    return figure


def draw_scripts(axis: Axes, values: pd.DataFrame, methods: list[str], shown: list[str]) -> None:
    """Draw one group of markers a script: the mean with its interval, and the seeds behind it."""
    looks = style.looks(methods)
    offsets = np.linspace(-0.3, 0.3, len(methods)) if len(methods) > 1 else [0.0]
    means = summarise(values, ["method", "script"])
    for offset, method in zip(offsets, methods, strict=True):
        look = looks[method]
        seeds = values[values["method"] == method]
        if seeds["seed"].nunique() > 1:
            axis.scatter(
                # Beside the mean, which would hide them.
                [shown.index(script) + offset - 0.06 for script in seeds["script"]],
                100 * seeds["value"],
                s=9, color=look.colour, alpha=0.4, linewidths=0, zorder=2,
            )  # fmt: skip
        for _, row in means[means["method"] == method].iterrows():
            axis.errorbar(
                shown.index(row["script"]) + offset,
                100 * row["mean"],
                yerr=None if math.isnan(row["half_width"]) else 100 * row["half_width"],
                color=look.colour,
                marker=look.marker,
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                elinewidth=1,
                capsize=2,
                zorder=4,
            )
    for boundary in range(1, len(shown)):
        axis.axvline(boundary - 0.5, color="#e6e6e6", linewidth=0.7, zorder=0)
    axis.grid(False, axis="x")
    axis.set_xlim(-0.5, len(shown) - 0.5)
    axis.set_ylim(bottom=0)
    axis.set_xticks(range(len(shown)), [SCRIPTS[script] for script in shown], linespacing=1.3)
    axis.tick_params(axis="x", length=0)


def legend(figure: Figure, methods: list[str], *, lines: bool = False, above: bool = False) -> None:
    """Name the methods beneath the panels (or above), outside of every axis."""
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.dashes if lines else "none",
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.5,
            markersize=6,
            label=method_label(method),
        )
        for method, look in style.looks(methods).items()
    ]
    place = "outside upper center" if above else "outside lower center"
    rows = -(-len(handles) // 5)
    figure.legend(
        handles=handles,
        loc=place,
        ncols=-(-len(handles) // rows),
        handlelength=2.6 if lines else 1.0,
    )
