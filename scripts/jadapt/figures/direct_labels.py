"""Labels beside what they name, none on another: a figure of many lines needs no legend.

Each label tries places around its point, the nearest first, and takes the one that covers least of
what is drawn; a hairline leads to a label that had to go further away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from jadapt.figures import style

# Distances in points (1/72 inch) and directions in degrees that are tried, the better ones first.
DISTANCES = (5, 10, 17, 26, 36, 48, 62, 78, 96)
DIRECTIONS = (0, 25, -25, 55, -55, 90, -90, 125, -125, 155, -155, 180)
# Costs: of a point of distance, of a turn from the right, of a drawn point that is covered.
OF_DISTANCE, OF_TURN, OF_COVERED = 1.0, 0.03, 6.0
LED_FROM = 9
GAP = 3.0


@dataclass(frozen=True)
class Label:
    """Words for the point (x, y) of the data."""

    words: str
    x: float
    y: float
    colour: str
    bold: bool = False


def place(
    axis: Axes, labels: Sequence[Label], drawn: np.ndarray, size: float = style.SMALLEST
) -> list[Bbox]:
    """Write labels so that none overlaps another or leaves the axis, the first ones best placed.

    Call it last: limits, scales and layout of the axis may not change afterwards.

    Args:
        axis: where.
        labels: in the order in which they take their places.
        drawn: points of the data that labels should not cover, of shape (n, 2).
        size: of the font.

    Returns:
        The boxes in pixels, in the order of the labels.
    """
    figure = axis.figure
    figure.canvas.draw()
    pixel = figure.dpi / 72
    covered = axis.transData.transform(drawn) if len(drawn) else np.empty((0, 2))
    frame = axis.get_window_extent()
    boxes: list[Bbox] = []
    for label in labels:
        weight = "bold" if label.bold else "normal"
        text = axis.text(
            label.x, label.y, label.words, fontsize=size, color=label.colour, fontweight=weight,
            zorder=6, ha="left", va="bottom",
            path_effects=[patheffects.withStroke(linewidth=1.4, foreground="white")],
        )  # fmt: skip
        extent = text.get_window_extent()
        point = axis.transData.transform((label.x, label.y))
        tried = _places(point, extent.width, extent.height, pixel)
        _, box, distance = min(
            ((_cost(box, at, turn, boxes, covered, frame), box, at) for box, at, turn in tried),
            key=lambda found: found[0],
        )
        boxes.append(box)
        left, bottom = axis.transData.inverted().transform((box.x0, box.y0))
        text.set_position((left, bottom))
        if distance > LED_FROM:
            _lead(axis, point, box, label.colour)
    return boxes


def _places(
    point: np.ndarray, width: float, height: float, pixel: float
) -> Iterator[tuple[Bbox, float, float]]:
    """Yield boxes around a point with their distance in points and their turn in degrees."""
    for distance in DISTANCES:
        for turn in DIRECTIONS:
            angle = math.radians(turn)
            x = point[0] + math.cos(angle) * distance * pixel
            y = point[1] + math.sin(angle) * distance * pixel
            # The side of the box that is turned to the point lies at this distance.
            left = x - width * (1 - math.cos(angle)) / 2
            bottom = y - height * (1 - math.sin(angle)) / 2
            yield Bbox.from_bounds(left, bottom, width, height), distance, abs(turn)


def _cost(
    box: Bbox, distance: float, turn: float, others: Sequence[Bbox], drawn: np.ndarray, frame: Bbox
) -> float:
    wide = Bbox.from_extents(box.x0 - GAP, box.y0 - GAP, box.x1 + GAP, box.y1 + GAP)
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    # Far more than anything else: taken only where there is no room at all.
    hard = 1e4 * (not inside) + 1e6 * sum(wide.overlaps(other) for other in others)
    within = (
        (drawn[:, 0] > wide.x0) & (drawn[:, 0] < wide.x1)
        & (drawn[:, 1] > wide.y0) & (drawn[:, 1] < wide.y1)
    )  # fmt: skip
    return hard + OF_DISTANCE * distance + OF_TURN * turn + OF_COVERED * float(within.sum())


def _lead(axis: Axes, point: np.ndarray, box: Bbox, colour: str) -> None:
    """Draw a hairline from a point to the nearest place of its label."""
    end = (min(max(point[0], box.x0), box.x1), min(max(point[1], box.y0), box.y1))
    xy = axis.transData.inverted().transform(np.array([point, end]))
    axis.plot(xy[:, 0], xy[:, 1], color=colour, linewidth=0.4, alpha=0.7, zorder=1.8)
