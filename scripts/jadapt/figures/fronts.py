"""The figures of the fronts: what was learned against what was forgotten, and at equal learning."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jadapt.analysis.front_points import POINT, RATES, TOLD, WEIGHTS, lines, of_line
from jadapt.analysis.front_tables import line_label
from jadapt.analysis.labels import domain_label, is_bound, join_words
from jadapt.core.declarations import Look
from jadapt.figures import style
from jadapt.figures.direct_labels import Label, place

# Forgetting is drawn linearly up to so many bits per byte and by its logarithm above, where the
# highest rates would press everything else together.
LINEAR = 0.1
TICKS = (-0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
TRIVIAL = {"ngram": "character n-gram of the same text", "unigram": "unigram of the same text"}
REFERENCE_WIDTH, WIDTH = 2.6, 1.1


def points(measures: pd.DataFrame) -> pd.DataFrame:
    """Return one row a point of the table of measures, with the extremes of its seeds."""
    parts: dict[str, pd.Series] = {}
    for name in ("gain", "forgetting"):
        own = measures[measures["measure"] == f"point_{name}"].set_index([*POINT, "selected"])
        parts |= {name: own["value"], f"{name}_low": own["low"], f"{name}_high": own["high"]}
    return pd.DataFrame(parts).reset_index()


def domains_of(measures: pd.DataFrame, measure: str) -> str:
    """Return the names of the domains that a measure is the mean of, for readers."""
    names = measures.loc[measures["measure"] == f"point_{measure}", "domain"].iloc[0].split()
    return join_words(map(domain_label, names))


def reference_of(measures: pd.DataFrame) -> str | None:
    """Return the run that the others are compared with; None where it was not run yet."""
    compared = measures[measures["measure"] == "difference"]
    lines_there = measures[(measures["measure"] == "area") & (measures["line"] == RATES)]
    tested = set(compared.loc[compared["line"] == RATES, "method"])
    return next((name for name in lines_there["method"] if name not in tested), None)


def fronts(measures: pd.DataFrame) -> Figure:
    """Draw forgetting against gain after the whole sequence, a line a method through its rates.

    Thin bars are the range of the seeds, a filled marker is the point that the study's rule picked.
    Full fine-tuning is thick, and its weights interpolated with the base model's are dashed;
    methods that see all text at once or are told the task are hollow.
    """
    found = points(measures)
    known = found[found["gain"].notna() & found["forgetting"].notna()]
    if known.empty:
        return style.message("No front of this study was measured to the end.")
    reference = reference_of(measures)
    looks = style.looks(found["method"])
    figure, axis = pyplot.subplots(figsize=(style.WIDTH, 4.7), layout="constrained")
    labels, drawn = [], [np.zeros((1, 2))]
    shown = [(name, line) for name, line in lines(known) if line != WEIGHTS or name == reference]
    for method, line in shown:
        own = _through(known, method, line)
        draw_line(axis, own, looks[method], method, line, thick=method == reference)
        drawn.append(_dense(own))
        end = own.iloc[len(own) // 2 if line == WEIGHTS else -1]
        labels.append(Label(line_label(method, line), end["gain"], end["forgetting"],
                            looks[method].colour, bold=method == reference))  # fmt: skip
    _others(axis, known, shown, looks)
    _scale(axis, known)
    axis.axhline(0, color="#999999", linewidth=0.7, zorder=0)
    labels.append(Label("base model", 0.0, 0.0, style.BLACK))
    axis.plot(0, 0, marker="X", color=style.GREY, markersize=7, markeredgecolor="white", zorder=5)
    drawn += _trivial(axis, measures)
    axis.set_xlabel(f"Japanese learned (mean of {domains_of(measures, 'gain')}), bits per byte →")
    axis.set_ylabel(f"← {domains_of(measures, 'forgetting')} forgotten, bits per byte")
    if notes := _missing(found):
        figure.text(
            0.0, -0.01, notes, ha="left", va="top", fontsize=style.SMALLEST, color="#555555"
        )
    # What all others are compared with first, then from the right, where most lines end.
    labels.sort(key=lambda label: (not label.bold, -label.x))
    place(axis, labels, np.vstack(drawn))
    return figure


def draw_line(
    axis: Axes, own: pd.DataFrame, look: Look, method: str, line: str, *, thick: bool
) -> None:
    """Draw the points of a line, the range of their seeds, and the chosen point filled."""
    hollow = is_bound(method) or line == TOLD
    axis.plot(
        own["gain"], own["forgetting"], color=look.colour,
        linestyle=(0, (4, 2)) if line == WEIGHTS else (0, (1, 1)) if hollow else "-",
        linewidth=REFERENCE_WIDTH if thick and line == RATES else WIDTH, zorder=3,
        marker=look.marker, markersize=3, markerfacecolor="white", markeredgewidth=0.7,
    )  # fmt: skip
    ends = [
        np.array([own[name] - own[f"{name}_low"], own[f"{name}_high"] - own[name]])
        for name in ("gain", "forgetting")
    ]
    axis.errorbar(
        own["gain"], own["forgetting"], xerr=ends[0].clip(0), yerr=ends[1].clip(0), fmt="none",
        ecolor=look.colour, elinewidth=0.6, alpha=0.8, zorder=2.5,
    )  # fmt: skip
    chosen = own[own["selected"] & (own["interpolation"] == 1)]
    if line != WEIGHTS:
        axis.plot(
            chosen["gain"], chosen["forgetting"], linestyle="none", marker=look.marker,
            markersize=7, color=look.colour, markerfacecolor="white" if hollow else look.colour,
            markeredgecolor=look.colour if hollow else "white",
            markeredgewidth=1.2 if hollow else 0.5,
            zorder=4,
        )  # fmt: skip


def _through(known: pd.DataFrame, method: str, line: str) -> pd.DataFrame:
    """Return the points that a line leads through: the rates at the strength that was chosen, or
    the shares of the change at the chosen rate, from the base model on."""
    own = of_line(known, method, line)
    chosen = own[own["selected"]]
    pick = chosen.iloc[0] if len(chosen) else own.iloc[0]
    own = own[own["strength"] == pick["strength"]]
    if line != WEIGHTS:
        return own.sort_values("learning_rate")
    own = own[own["learning_rate"] == pick["learning_rate"]].sort_values("interpolation")
    base = {name: 0.0 for name in own.columns if name.startswith(("gain", "forgetting"))}
    start = pd.DataFrame([{**own.iloc[0].to_dict(), **base, "interpolation": 0.0}])
    return pd.concat([start, own], ignore_index=True)


def _others(axis: Axes, known: pd.DataFrame, shown: list, looks: dict[str, Look]) -> None:
    """Draw the points of strengths that were not chosen as small dots."""
    for method, line in shown:
        own = of_line(known, method, line)
        through = _through(known, method, line)
        rest = own[(own["strength"] != through["strength"].iloc[0]) & (own["interpolation"] == 1)]
        axis.scatter(
            rest["gain"], rest["forgetting"], s=5, color=looks[method].colour, alpha=0.5,
            linewidths=0, zorder=2,
        )  # fmt: skip


def _dense(own: pd.DataFrame, steps: int = 12) -> np.ndarray:
    """Return points along a line, which labels should not cover."""
    ends = own[["gain", "forgetting"]].to_numpy(dtype=float)
    parts = [np.linspace(a, b, steps) for a, b in pairwise(ends)]
    return np.vstack([ends, *parts])


def _scale(axis: Axes, known: pd.DataFrame) -> None:
    """Leave room for labels, and draw what is far away by its logarithm."""
    x, y = known["gain"], known["forgetting"]
    left, right = min(x.min(), 0.0), max(x.max(), 0.0)
    width = right - left or 1.0
    axis.set_xlim(left - 0.06 * width, right + 0.2 * width)
    bottom, top = min(y.min(), 0.0), max(y.max(), 0.0)
    height = top - bottom or 1.0
    if top <= 4 * LINEAR:
        axis.set_ylim(bottom - 0.1 * height, top + 0.1 * height)
        return
    axis.set_yscale("symlog", linthresh=LINEAR, linscale=1.6)
    axis.set_ylim(min(bottom * 1.3, -0.02), top * 1.5)
    axis.set_yticks([tick for tick in TICKS if bottom * 1.3 <= tick <= top * 1.5])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}".replace("-", "−")))
    axis.minorticks_off()


def _trivial(axis: Axes, measures: pd.DataFrame) -> list[np.ndarray]:
    """Mark how much trivial models of the same text learn; return the points of their lines."""
    gains = measures[(measures["measure"] == "gain") & measures["method"].isin(TRIVIAL)]
    low, high = axis.get_xlim()
    drawn = []
    for method, at in zip(gains["method"], gains["value"], strict=True):
        if not low < at < high:
            continue
        axis.axvline(at, color=style.GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0.5)
        axis.annotate(
            TRIVIAL[method], (at, 1), xycoords=axis.get_xaxis_transform(), xytext=(2, -3),
            textcoords="offset points", ha="left", va="top", rotation=90, fontsize=style.SMALLEST,
            color="#555555",
        )  # fmt: skip
        drawn.append(np.column_stack([np.full(60, at), np.linspace(*axis.get_ylim(), 60)]))
    return drawn


def _missing(found: pd.DataFrame) -> str:
    """Name the points whose training diverged."""
    lost = found[(found["gain"].isna() | found["forgetting"].isna()) & (found["line"] == RATES)]
    if lost.empty:
        return ""
    rates = lost.groupby("method", sort=False)["learning_rate"].apply(list)
    words = "; ".join(
        f"{line_label(name, RATES)} {', '.join(f'{rate:g}' for rate in rates[name])}"
        for name in rates.index
    )
    return f"Diverged with a seed or more, at learning rates: {words}."
