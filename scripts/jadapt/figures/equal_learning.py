"""The dot plot of forgetting where equally much was learned."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jadapt.analysis.front_points import RATES, TOLD, WEIGHTS
from jadapt.analysis.front_tables import NOT_REACHED, line_label
from jadapt.analysis.labels import is_bound
from jadapt.core.declarations import Look
from jadapt.figures import style
from jadapt.figures.fronts import domains_of, reference_of

ROW = 0.17
BAND = "#ececec"
# Behind words on an axis.
PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}


def equal_learning(measures: pd.DataFrame) -> Figure:
    """Draw forgetting at equal learning: a panel a level, a row a method, with intervals.

    Methods are sorted by the middle level. A method that does not learn so much is said so; an
    interval that has no upper end, since the method does not always get there, ends in an arrow.
    Hollow markers are interpolated weights, bounds, and models that are told the task.
    """
    found = measures[measures["measure"] == "at_equal_learning"]
    reference = reference_of(measures)
    if found.empty or reference is None:
        return style.message("Full fine-tuning was not run, which the others are compared with.")
    levels = sorted(found["level"].unique())
    # Interpolated weights of the other methods are in the table.
    found = found[(found["line"] != WEIGHTS) | (found["method"] == reference)]
    order = rows_in_order(found, levels[len(levels) // 2])
    looks = style.looks({name for name, _ in order})
    figure, axes = pyplot.subplots(
        1, len(levels), figsize=(style.WIDTH, 0.75 + ROW * len(order)), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, level in zip(axes[0], levels, strict=True):
        own = found[found["level"] == level].set_index(["method", "line"])
        at = own.loc[(reference, RATES)]
        edges = view(own, at)
        axis.set_xlim(edges)
        for place, key in enumerate(order):
            draw_row(axis, place, own.loc[key], looks[key[0]], key)
        axis.axvspan(at["low"], at["high"], color=BAND, zorder=0)
        axis.axvline(at["value"], color=style.BLACK, linewidth=0.8, zorder=0.5)
        axis.axvline(0, color="#999999", linewidth=0.6, linestyle=":", zorder=0.5)
        axis.set_title(f"{level:.0%} of its gain".replace("%", " %"))
        _refusals(axis, own, order)
        axis.tick_params(axis="y", length=0)
    axes[0][0].set_yticks(range(len(order)), [line_label(*key) for key in order])
    for text, key in zip(axes[0][0].get_yticklabels(), order, strict=True):
        text.set_fontweight("bold" if key == (reference, RATES) else "normal")
    axes[0][0].set_ylim(len(order) - 0.5, -0.5)
    name = line_label(reference).lower()
    figure.supxlabel(
        f"← {domains_of(measures, 'forgetting')} forgotten where so much of what {name} learns at "
        "most is learned, bits per byte",
        fontsize=style.SMALLEST,
    )
    return figure


def rows_in_order(found: pd.DataFrame, level: float) -> list[tuple[str, str]]:
    """Return the lines that reach some level, least forgetting first, then those that do not."""
    at = found[found["level"] == level].set_index(["method", "line"])["value"]
    low = found.groupby(["method", "line"])["value"].min()

    def place(key: tuple[str, str]) -> tuple[bool, float, bool, float]:
        value, least = at[key], low[key]
        return (math.isnan(value), value if not math.isnan(value) else 0.0,
                math.isnan(least), 0.0 if math.isnan(least) else least)  # fmt: skip

    return sorted(at.index, key=place)


def view(own: pd.DataFrame, at: pd.Series) -> tuple[float, float]:
    """Return limits of an axis that show the reference and most others; the rest is said in words.

    A single method that forgets far more would press the differences of all others together.
    """
    known = own[own["value"].notna()]
    ends = known["high"].where(known["high"].map(math.isfinite), known["value"])
    right = max(3 * max(at["value"], 0.0), float(ends.quantile(0.8)), at["high"])
    right = min(right, float(ends.max()))
    left = min(float(known["low"].min()), 0.0)
    width = right - left or 0.01
    return left - 0.06 * width, right + 0.08 * width


def draw_row(axis: Axes, place: int, row: pd.Series, look: Look, key: tuple) -> None:
    """Draw one value with its interval; a value beyond the edge in digits."""
    value, low, high = row["value"], row["low"], row["high"]
    if math.isnan(value):
        return
    edge = axis.get_xlim()[1]
    if value > edge:
        axis.text(
            0.99, place, f"{value:.2f} →", transform=axis.get_yaxis_transform(), ha="right",
            va="center", fontsize=style.SMALLEST, color=look.colour, bbox=PLATE,
        )  # fmt: skip
        return
    weights = key[1] == WEIGHTS
    hollow = weights or key[1] == TOLD or is_bound(key[0])
    axis.plot(
        value, place, marker="D" if weights else look.marker, markersize=3.6 if weights else 5,
        color=look.colour, markerfacecolor="white" if hollow else look.colour,
        markeredgewidth=1.0, zorder=4,
    )  # fmt: skip
    if not math.isnan(low):
        axis.plot(
            [low, min(high, edge)], [place, place], color=look.colour, linewidth=1.1, zorder=3
        )
        if high > edge:
            axis.plot(edge, place, marker=">", markersize=3.5, color=look.colour, clip_on=False,
                      zorder=4)  # fmt: skip


def _refusals(axis: Axes, own: pd.DataFrame, order: list[tuple[str, str]]) -> None:
    """Say of whom nothing can be said at a level."""
    for place, key in enumerate(order):
        if math.isnan(own.loc[key]["value"]):
            axis.text(
                0.02, place, NOT_REACHED, transform=axis.get_yaxis_transform(), ha="left",
                va="center", fontsize=style.SMALLEST, color="#777777", style="italic",
                bbox=PLATE,
            )  # fmt: skip
