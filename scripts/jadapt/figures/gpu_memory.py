"""The figure of what was measured on one GPU: peak memory by what it holds."""

from __future__ import annotations

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jadapt.analysis.gpu_benchmark import (
    EARLIER,
    METHODS,
    PARTS_OF_MEMORY,
    at,
    batch_words,
    first_seen,
    label_of,
    mid,
    where,
)
from jadapt.core.errors import UserError
from jadapt.figures import style

# Neighbours differ in lightness too, so that they stay apart in a grey print.
COLOURS = dict(
    zip(PARTS_OF_MEMORY, (style.BLUE, style.SKY, style.VERMILION, "#d9d9d9"), strict=True)
)
GIBIBYTE = 1024


def memory(table: pd.DataFrame) -> Figure:
    """Draw peak memory as stacked bars: one row a method, one panel a batch of the earlier study.

    What was not measured at a batch has no bar there; the number at its end is the peak in GiB.
    """
    measured = where(table, METHODS)
    batches = [
        batch for batch in EARLIER
        if ((measured["rows"] == batch[0]) & (measured["length"] == batch[1])).any()
    ]  # fmt: skip
    if not batches:
        raise UserError("the released efficiency has no method at a batch of the earlier study")
    sizes = pd.concat([measured[_of(measured, batch)] for batch in batches])
    labels = [name for name in first_seen(measured, "label") if name in set(sizes["label"])]
    figure, axes = pyplot.subplots(
        1,
        len(batches),
        figsize=(style.WIDTH, 0.95 + 0.21 * len(labels)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for axis, batch in zip(axes[0], batches, strict=True):
        _draw(axis, table, labels, batch)
        axis.set_title(f"batch of {batch_words(*batch)} tokens")
    axes[0][0].set_yticks(range(len(labels)), [label_of(name) for name in labels])
    axes[0][0].set_ylim(len(labels) - 0.45, -0.55)
    # Room for the number at the end of the longest bar.
    axes[0][0].set_xlim(0, 1.16 * sizes["peak_mib"].max() / GIBIBYTE)
    figure.supxlabel("peak memory, GiB", fontsize=style.SMALLEST)
    figure.legend(
        handles=[Patch(color=COLOURS[part], label=part) for part in PARTS_OF_MEMORY],
        loc="outside upper center", ncols=len(PARTS_OF_MEMORY), handlelength=1.0,
    )  # fmt: skip
    return figure


def _of(rows: pd.DataFrame, batch: tuple[int, int]) -> pd.Series:
    return (rows["rows"] == batch[0]) & (rows["length"] == batch[1])


def _draw(axis: Axes, table: pd.DataFrame, labels: list[str], batch: tuple[int, int]) -> None:
    for place, label in enumerate(labels):
        rows = at(table, label, batch, parts=[METHODS])
        if rows.empty:
            continue
        left = 0.0
        for part in PARTS_OF_MEMORY:
            width = mid(rows, f"{part}_mib") / GIBIBYTE
            axis.barh(
                place, width, left=left, height=0.72, color=COLOURS[part],
                edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            left += width
        axis.annotate(
            f"{mid(rows, 'peak_mib') / GIBIBYTE:.1f}", (left, place), xytext=(3, 0),
            textcoords="offset points", va="center", ha="left", color="#333333",
            fontsize=style.SMALLEST,
        )  # fmt: skip
    axis.tick_params(axis="y", length=0)
    axis.grid(False, axis="y")
