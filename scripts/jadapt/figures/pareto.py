"""The figure of learning against forgetting over the grid of learning rates."""

from __future__ import annotations

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jadapt.analysis.labels import domain_label, in_order, is_bound, method_label
from jadapt.analysis.printing import plain
from jadapt.analysis.rate_search import front
from jadapt.analysis.rate_tables import diverged_points, grid_domains, grid_points
from jadapt.figures import style
from jadapt.figures.curves import family_columns
from jadapt.figures.legends import handles

FRONT, CONTEXT = "#b0b0b0", "#d9d9d9"


def pareto(grid: pd.DataFrame) -> Figure:
    """Draw the Japanese gain against the English loss at every learning rate.

    One panel a family; a line leads through a method's rates, its filled marker is the chosen one.
    Small grey dots are the methods of the other panels; the step line is the front of the points
    that no other beats on both axes, joint training left out. Diverged points are named beneath.
    """
    if grid.empty or (found := grid_points(grid)).empty:
        return style.message("This study searched no learning rates.")
    home, task = grid_domains(grid)
    columns = family_columns(in_order(found["method"]))
    # Joint training has all data at once: a bound, which takes no part in the contest.
    best = front(found[~found["method"].map(is_bound)])
    figure, axes = pyplot.subplots(
        1,
        len(columns),
        figsize=(style.WIDTH if len(columns) > 1 else 4.2, 4.3),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    frame = view(found)
    for axis, (title, names) in zip(axes[0], columns.items(), strict=True):
        others = found[~found["method"].isin(names)]
        axis.scatter(others["gain"], others["loss"], s=6, color=CONTEXT, linewidths=0, zorder=1)
        draw_front(axis, best, frame)
        draw_rates(axis, found[found["method"].isin(names)], names)
        axis.axhline(0, color="#999999", linewidth=0.7, zorder=0)
        axis.set_xlim(frame[0])
        axis.set_ylim(frame[1])
        if len(columns) > 1:
            axis.set_title(title)
        axis.legend(
            handles=handles(names, lines=True), loc="upper left", bbox_to_anchor=(0, -0.18),
            handlelength=2.6, fontsize=style.SMALLEST, borderaxespad=0,
        )  # fmt: skip
    middle = axes[0][len(columns) // 2]
    middle.set_xlabel(f"Japanese gain ({domain_label(task)}, validation), bits per byte →")
    axes[0][0].set_ylabel(f"← {domain_label(home).capitalize()} loss (validation), bits per byte")
    notes = [*_outside(found, frame), *_diverged(grid)]
    if notes:
        figure.text(
            0.0,
            -0.02,
            "\n".join(notes),
            ha="left",
            va="top",
            fontsize=style.SMALLEST,
            color="#555555",
            wrap=True,
        )
    return figure


def view(found: pd.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return limits of both axes: wide enough for the chosen points twice over, but not for all.

    A rate just below divergence can lose more than everything else together; such points would
    press the others into one corner and are counted instead.
    """
    chosen = found[found["selected"]] if found["selected"].any() else found
    right, left = found["gain"].max(), min(chosen["gain"].min(), 0)
    top, bottom = max(chosen["loss"].max(), 0), min(found["loss"].min(), 0)
    width, height = right - left or 1.0, top - bottom or 1.0
    left = max(found["gain"].min(), left - 0.5 * width)
    top = min(found["loss"].max(), top + 1.5 * height)
    width, height = right - left or 1.0, top - bottom or 1.0
    return (
        (left - 0.06 * width, right + 0.06 * width),
        (bottom - 0.06 * height, top + 0.06 * height),
    )


def draw_front(axis: Axes, best: pd.DataFrame, frame: tuple) -> None:
    """Draw the front as steps, from the left edge to where the best point's gain ends."""
    if best.empty:
        return
    best = best.sort_values("gain")
    gains = [frame[0][0], *best["gain"], best["gain"].iloc[-1]]
    losses = [best["loss"].iloc[0], *best["loss"], frame[1][1]]
    axis.step(gains, losses, where="pre", color=FRONT, linewidth=2.6, alpha=0.7, zorder=1.5)


def draw_rates(axis: Axes, found: pd.DataFrame, methods: list[str]) -> None:
    """Draw a line through the rates of each method, the chosen one with a filled marker."""
    for method, look in style.looks(methods).items():
        line = found[found["method"] == method].sort_values("learning_rate")
        axis.plot(
            line["gain"], line["loss"], color=look.colour, linestyle=look.dashes, linewidth=1,
            marker=look.marker, markersize=4, markerfacecolor="white", markeredgewidth=0.8,
            zorder=3,
        )  # fmt: skip
        chosen = line[line["selected"]]
        axis.plot(
            chosen["gain"], chosen["loss"], color=look.colour, linestyle="none",
            marker=look.marker, markersize=7, markeredgecolor="white", markeredgewidth=0.5,
            zorder=4,
        )  # fmt: skip


def _outside(found: pd.DataFrame, frame: tuple) -> list[str]:
    inside = found["gain"].between(*frame[0]) & found["loss"].between(*frame[1])
    return [f"Outside of the frame: {_named(found[~inside])}."] if not inside.all() else []


def _named(points: pd.DataFrame) -> str:
    rates = points.groupby("method", sort=False)["learning_rate"].apply(list)
    return "; ".join(
        f"{method_label(method)} {', '.join(map(plain, rates[method]))}"
        for method in in_order(rates.index)
    )


def _diverged(grid: pd.DataFrame) -> list[str]:
    lost = diverged_points(grid)
    count = sum(map(len, lost.values()))
    names = "; ".join(
        f"{method_label(name)} {', '.join(map(plain, r))}" for name, r in lost.items()
    )
    return [f"Diverged ({count}): {names}."] if count else []
