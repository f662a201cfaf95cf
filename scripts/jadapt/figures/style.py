"""One house style: colours, markers, fonts, and figure files that come out the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib
import matplotlib_fontja
import seaborn
from matplotlib import colors, pyplot
from matplotlib.figure import Figure

from jadapt.analysis.labels import BASE, declared, in_order, split_name
from jadapt.core.declarations import Look
from jadapt.core.errors import UserError
from jadapt.core.files import atomic
from jadapt.figures import metadata

# Text width of the paper, in inches: figures are drawn at their printed size.
WIDTH = 6.3
# The smallest letter of a figure, in points, as it is of the text.
SMALLEST = 8
# Of a line with the page that it is drawn on, by WCAG 2.
LINE_CONTRAST = 3.0
FORMATS = ("pdf", "svg", "png")
RESOLUTION = 200

# Okabe and Ito's colours, which stay apart for colour-blind readers. Black and grey are for what
# methods are measured against; yellow is left out because thin lines in it disappear on white.
# Families share a hue: few parameters reds and oranges, regularisation blues, and purple for
# growth, memory greens. Each class declares its own look.
BLACK, GREY, BLUE, VERMILION = "#111111", "#777777", "#0072b2", "#d55e00"
GREEN, PURPLE, ORANGE, SKY = "#009e73", "#cc79a7", "#e69f00", "#56b4e9"

_BASE_LOOK = Look(GREY, "X", ":")
# Compositions as the released figures show them; of others the look is derived.
_COMPOSED = {
    "lora_replay": Look("#66c2a4", "s", (0, (2, 1))),
    "lora_ewc": Look("#8da0cb", "H", (0, (3, 1))),
}
_SPARE = [
    Look(colour, marker, dashes)
    for marker, dashes in {
        "o": (0, (2, 1)), "X": (0, (7, 1)), "8": (0, (2, 2, 6, 2)), "*": (0, (1, 2)),
        "D": (0, (9, 2)), "v": (0, (4, 2, 1, 2)), "^": (0, (2, 1)), "P": (0, (7, 1)),
        "<": (0, (2, 2, 6, 2)), ">": (0, (1, 2)), "p": (0, (9, 2)), "h": (0, (4, 2, 1, 2)),
    }.items()
    for colour in (PURPLE, ORANGE, BLUE, GREEN, VERMILION, SKY)
]  # fmt: skip
# Of the way to white: a composition is a lighter shade of what it does against forgetting.
_LIGHTER = 0.4


def look_of(name: str) -> Look | None:
    """Return the look of a run that has one whoever else is there, its colour seen on white.

    That of the base model, of a class, or of a composition: the marker and dashes of its first
    part, a lighter shade of the others' colours. None for a run with further words in its name.
    """
    look = _declared_look(name)
    return look and replace(look, colour=legible(look.colour))


def _declared_look(name: str) -> Look | None:
    if name == BASE:
        return _BASE_LOOK
    if name in declared():
        return declared()[name].look
    parts, words = split_name(name)
    if not parts or words:
        return None
    if name in _COMPOSED:
        return _COMPOSED[name]
    own, *others = [declared()[part].look for part in parts]
    shades = [colors.to_rgb(look.colour) for look in others]
    mixed = [sum(values) / len(values) for values in zip(*shades, strict=True)]
    red, green, blue = (value + _LIGHTER * (1 - value) for value in mixed)
    lighter = colors.to_hex((red, green, blue))
    return Look(lighter, own.marker, own.dashes)


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Return the look of each method, in the order in which legends name them.

    No two are drawn alike: a run without a look of its own, or with that of one before it, takes
    the next spare one, by an order that is the same in every figure of a study because all of its
    tables name the same runs.
    """
    chosen: dict[str, Look] = {}
    taken: set[tuple[str, str]] = set()
    own = {name: look_of(name) for name in in_order(methods)}
    reserved = {(look.colour, look.marker) for look in own.values() if look}
    spare = (look for look in _SPARE if (look.colour, look.marker) not in reserved)
    for name, look in own.items():
        if look is None or (look.colour, look.marker) in taken:
            look = next(spare, None)
        if look is None:
            raise UserError(f"{len(own)} runs are more than a figure can tell apart; name fewer")
        taken.add((look.colour, look.marker))
        chosen[name] = replace(look, colour=legible(look.colour))
    return chosen


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of red, green and blue from 0 to 1, by WCAG 2."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour
    ]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast_on_white(colour: str) -> float:
    """Return the contrast of a colour with a white page, from 1 to 21, by WCAG 2."""
    return 1.05 / (luminance(colors.to_rgb(colour)) + 0.05)


@cache
def legible(colour: str) -> str:
    """Return a colour, darkened as far as a line of it needs to be seen on white."""
    while contrast_on_white(colour) < LINE_CONTRAST:
        red, green, blue = (0.97 * value for value in colors.to_rgb(colour))
        colour = colors.to_hex((red, green, blue))
    return colour


def use() -> None:
    """Switch the house style on: call it once, before the first figure."""
    # A `matplotlibrc` of the user's, in the folder or elsewhere, was read by now.
    matplotlib.rcdefaults()
    seaborn.set_theme(context="paper", style="ticks")
    matplotlib_fontja.japanize()
    matplotlib.rcParams.update(
        {
            # The first font that has a glyph draws it, so Japanese falls through to the second.
            "font.family": ["DejaVu Sans", matplotlib_fontja.matplotlib_fontja.FONT_NAME],
            "font.size": SMALLEST,
            "axes.titlesize": 8.5,
            "axes.labelsize": SMALLEST,
            "xtick.labelsize": SMALLEST,
            "ytick.labelsize": SMALLEST,
            "legend.fontsize": SMALLEST,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "axes.grid": True,
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.5,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "lines.linewidth": 1.4,
            "lines.markersize": 5,
            "axes.unicode_minus": True,
            "figure.dpi": 110,
            # Equal input gives equal bytes: no random identifiers, outlines instead of font names.
            "svg.hashsalt": "jadapt",
            "svg.fonttype": "path",
            "pdf.fonttype": 42,
        }
    )


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Write ``figure`` as ``stem.pdf``, ``stem.svg`` and ``stem.png``, each whole or not at all.

    Drawn by the workflow, each file names its sources (`jadapt.figures.metadata`).
    """
    written = []
    for kind in FORMATS:
        path = Path(f"{stem}.{kind}")
        with atomic(path) as temporary:
            figure.savefig(
                temporary,
                format=kind,
                dpi=RESOLUTION,
                metadata=metadata.metadata(kind),
                bbox_inches="tight",
                pad_inches=0.03,
            )
        written.append(path)
    return written


def message(words: str) -> Figure:
    """Return a figure that says why there is nothing to draw: a study need not have every part."""
    figure, axis = pyplot.subplots(figsize=(WIDTH, 0.8), layout="constrained")
    axis.set_axis_off()
    axis.text(0.5, 0.5, words, ha="center", va="center", color="#555555")
    return figure


def grid(panels: int, *, height: float = 2.2, columns: int = 3, share_y: bool = False):
    """Return a figure of the paper's width with ``panels`` axes in rows of ``columns``.

    ``height`` is that of a row in inches; cells without a panel stay blank.
    """
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(WIDTH, height * rows),
        squeeze=False,
        sharey=share_y,
        layout="constrained",
    )
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:panels])
