"""The figure of ablations: one setting of a method varied, everything else as it was."""

from __future__ import annotations

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jadapt.analysis.labels import ablation_label, domain_label
from jadapt.analysis.printing import count
from jadapt.analysis.rate_search import are_numbers
from jadapt.analysis.rate_tables import ablation_points, grid_domains
from jadapt.analysis.statistics import estimate
from jadapt.figures import style

MEASURES = {"gain": ("o", style.BLUE), "loss": ("s", style.VERMILION)}


def ablations(grid: pd.DataFrame) -> Figure:
    """Draw gain (above) and loss (beneath) by variant, one column an ablation.

    Every variant has the learning rate that was chosen for it. Small markers are seeds, large ones
    their mean; two seeds, as ablations have, make no interval that could be drawn. Trainable
    parameters are named where they differ.
    """
    found = ablation_points(grid)
    if found.empty:
        return style.message("This study varied no setting of a method.")
    home, task = grid_domains(grid)
    names = list(found["ablation"].unique())
    widths = [found.loc[found["ablation"] == name, "variant"].nunique() + 0.6 for name in names]
    figure, axes = pyplot.subplots(
        2,
        len(names),
        figsize=(min(style.WIDTH, 1.2 + 0.75 * sum(widths)), 3.3),
        squeeze=False,
        sharex="col",
        sharey="row",
        width_ratios=widths,
        layout="constrained",
    )
    for column, name in zip(axes.T, names, strict=True):
        own = found[found["ablation"] == name]
        for axis, measure in zip(column, MEASURES, strict=True):
            draw_variants(axis, own, measure)
        column[0].set_title(ablation_label(name, own["method"].iloc[0]), fontsize=style.SMALLEST)
        column[1].set_xticks(range(own["variant"].nunique()), _ticks(own))
        if own["trainable_parameters"].nunique() > 1:
            column[1].set_xlabel("beneath: trainable parameters", fontsize=style.SMALLEST)
        column[1].set_xlim(-0.5, own["variant"].nunique() - 0.5)
    axes[0][0].set_ylabel(f"Japanese gain\n({domain_label(task)})")
    axes[1][0].set_ylabel(f"{domain_label(home).capitalize()} loss")
    figure.align_ylabels(axes[:, 0])
    figure.supylabel("bits per byte, validation", fontsize=style.SMALLEST)
    return figure


def draw_variants(axis: Axes, found: pd.DataFrame, measure: str) -> None:
    """Draw one measure of one ablation: a line through the means, with the seeds beside them."""
    marker, colour = MEASURES[measure]
    seeds = [own[measure] for _, own in found.groupby("variant", sort=False)]
    means = [estimate(values) for values in seeds]
    places = range(len(means))
    if are_numbers(found["variant"].unique()):
        axis.plot(places, [mean.mean for mean in means], color=colour, linewidth=0.9, alpha=0.6)
    for place, values, mean in zip(places, seeds, means, strict=True):
        if len(values) > 1:
            axis.scatter(
                [place + 0.12] * len(values), values, s=9, marker=marker, color=colour, alpha=0.45,
                linewidths=0, zorder=2,
            )  # fmt: skip
        axis.plot(
            place, mean.mean, color=colour, marker=marker, markersize=6, markeredgecolor="white",
            markeredgewidth=0.5, zorder=4,
        )  # fmt: skip
    axis.grid(False, axis="x")
    axis.margins(y=0.15)


def _ticks(found: pd.DataFrame) -> list[str]:
    """Return the variants' names, with their trainable parameters where these differ."""
    sizes = found.groupby("variant", sort=False)["trainable_parameters"].first()
    if sizes.nunique() < 2:
        return list(sizes.index)
    return [f"{name}\n{count(size)}" for name, size in sizes.items()]
