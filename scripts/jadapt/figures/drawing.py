"""The figures: each function draws one idea; `style.save` writes what they return."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jadapt.analysis.labels import SCRIPTS, domain_label, families, in_order, method_label
from jadapt.analysis.statistics import estimate, summarise
from jadapt.analysis.summaries import (
    ACCURACY,
    CHARACTER_BITS,
    by_script,
    home_domain,
    learning_and_forgetting,
    tasks,
)
from jadapt.core.errors import UserError
from jadapt.figures import style
from jadapt.figures.ablations import ablations
from jadapt.figures.curves import convergence
from jadapt.figures.heatmaps import retention
from jadapt.figures.legends import DOMAIN_MARKERS, domain_legend, family_legend, legend
from jadapt.figures.pareto import pareto

__all__ = [
    "ablations",
    "convergence",
    "forgetting",
    "pareto",
    "retention",
    "script_bits",
    "scripts",
]

# More methods than this take a legend of their own beside the panel.
CROWD = 6


def forgetting(metrics: pd.DataFrame) -> Figure:
    """Draw what each method learned against what it forgot, in bits per byte.

    Small markers are seeds; the large one is their mean, its bars the 95 % intervals.
    """
    runs = learning_and_forgetting(metrics)
    if runs.empty:
        raise UserError("metrics.csv: no method has bits_per_byte on a task and on English")
    methods = in_order(runs["method"])
    crowded = len(methods) > CROWD
    figure, (axis,) = style.grid(1)
    figure.set_size_inches(*((style.WIDTH, 4.1) if crowded else (4.6, 3.1)))
    for method, look in style.looks(methods).items():
        seeds = runs[runs["method"] == method]
        if len(seeds) > 1:
            axis.scatter(
                seeds["gain"], seeds["loss"], s=9 if crowded else 16, marker=look.marker,
                color=look.colour, alpha=0.45, linewidths=0, zorder=2,
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
            elinewidth=0.7 if crowded else 1,
            capsize=0 if crowded else 2.5,
            zorder=4,
        )
    axis.axhline(0, color="#999999", linewidth=0.7, zorder=1)
    axis.annotate(
        "nothing forgotten", (0, 0), xycoords=axis.get_yaxis_transform(), xytext=(2, 2),
        textcoords="offset points", ha="left", va="bottom", color="#555555",
        fontsize=style.SMALLEST,
    )  # fmt: skip
    axis.margins(0.06 if crowded else 0.12)
    trained = tasks(metrics)
    where = domain_label(trained[0]) if len(trained) == 1 else "mean of tasks"
    axis.set_xlabel(f"Japanese gain ({where}), bits per byte →")
    axis.set_ylabel(f"← {domain_label(home_domain(metrics)).capitalize()} loss, bits per byte")
    if crowded:
        family_legend(figure, methods)
    else:
        legend(figure, methods, above=True)
    return figure


def scripts(metrics: pd.DataFrame) -> Figure:
    """Draw next-character accuracy as dots: one panel a script, one row a method.

    Markers are means over seeds with their 95 % intervals, small dots the seeds; the shape of the
    marker tells the task.
    """
    found = by_script(metrics, ACCURACY)
    shares = found.assign(value=100 * found["value"])
    return _dots(metrics, shares, ACCURACY, "next-character accuracy, %")


def script_bits(metrics: pd.DataFrame) -> Figure:
    """Draw bits per character in the same way: the fewer, the better the model predicts."""
    values = by_script(metrics, CHARACTER_BITS)
    return _dots(metrics, values, CHARACTER_BITS, "bits per character", from_zero=False)


def _dots(
    metrics: pd.DataFrame, values: pd.DataFrame, metric: str, label: str, *, from_zero: bool = True
) -> Figure:
    if values.empty:
        raise UserError(f"metrics.csv: no row's metric is {metric}_SCRIPT on a task")
    methods = [name for names in families(values["method"]).values() for name in names]
    shown = [script for script in SCRIPTS if script in set(values["script"])]
    trained = [task for task in tasks(metrics) if task in set(values["domain"])]
    figure, axes = pyplot.subplots(
        1,
        len(shown),
        figsize=(style.WIDTH, 1.3 + 0.1 * len(methods) * (1.1 + 0.35 * len(trained))),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for axis, script in zip(axes[0], shown, strict=True):
        draw_scripts(axis, values[values["script"] == script], methods, trained)
        axis.set_title(SCRIPTS[script], linespacing=1.3)
        if from_zero:
            axis.set_xlim(left=0)
    axes[0][0].set_yticks(range(len(methods)), [method_label(name) for name in methods])
    axes[0][0].set_ylim(len(methods) - 0.5, -0.5)
    figure.supxlabel(label, fontsize=style.SMALLEST)
    domain_legend(figure, trained)
    return figure


def draw_scripts(axis: Axes, values: pd.DataFrame, methods: list[str], trained: list[str]) -> None:
    """Draw one row of markers a method: by task the mean with its interval, and the seeds."""
    looks = style.looks(methods)
    offsets = np.linspace(-0.24, 0.24, len(trained)) if len(trained) > 1 else [0.0]
    means = summarise(values, ["method", "domain"]).set_index(["method", "domain"])
    for offset, task, marker in zip(offsets, trained, DOMAIN_MARKERS, strict=False):
        for place, method in enumerate(methods):
            if (method, task) not in means.index:
                continue
            seeds = values[(values["method"] == method) & (values["domain"] == task)]
            mean, half = means.loc[(method, task), ["mean", "half_width"]]
            colour = looks[method].colour
            if len(seeds) > 1:
                axis.scatter(
                    seeds["value"], [place + offset + 0.1] * len(seeds), s=3, color=colour,
                    alpha=0.5, linewidths=0, zorder=2,
                )  # fmt: skip
            axis.errorbar(
                mean,
                place + offset,
                xerr=None if math.isnan(half) else half,
                color=colour,
                marker=marker,
                markersize=4.2,
                markeredgecolor="white",
                markeredgewidth=0.4,
                elinewidth=0.8,
                zorder=4,
            )
    # A hairline between families.
    edge = 0
    for names in list(families(methods).values())[:-1]:
        edge += len(names)
        axis.axhline(edge - 0.5, color="#cccccc", linewidth=0.6, zorder=0)
    axis.tick_params(axis="y", length=0)
