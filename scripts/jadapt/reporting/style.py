"""One house style: colours, markers, fonts, and figure files that come out the same every time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib_fontja
import seaborn
from matplotlib import pyplot
from matplotlib.figure import Figure

from jadapt.files import atomic
from jadapt.reporting.labels import in_order

# Text width of the paper, in inches: figures are drawn at their printed size.
WIDTH = 6.3
FORMATS = ("pdf", "svg", "png")
RESOLUTION = 200

# Okabe and Ito's colours, which stay apart for colour-blind readers; black is for the base model,
# and yellow is left out because thin lines in it disappear on white.
GREY, BLUE, VERMILION = "#4d4d4d", "#0072b2", "#d55e00"
GREEN, PURPLE, ORANGE, SKY = "#009e73", "#cc79a7", "#e69f00", "#56b4e9"


@dataclass(frozen=True)
class Look:
    """How one method is drawn in every figure; the marker and dashes survive a grey print."""

    colour: str
    marker: str
    dashes: str | tuple = "-"


LOOKS = {
    "base": Look(GREY, "X", ":"),
    "sft": Look(BLUE, "o"),
    "lora": Look(VERMILION, "s", "--"),
    "dora": Look(VERMILION, "P", "-."),
    "houlsby": Look(GREEN, "^", (0, (5, 1, 1, 1))),
    "prefix": Look(PURPLE, "v", (0, (3, 1))),
    "ewc": Look(ORANGE, "D", (0, (4, 1, 1, 1))),
    "gem": Look(SKY, "p", "--"),
    "agem": Look(SKY, "h", "-."),
    "den": Look(PURPLE, "*", "-."),
    "replay": Look(GREEN, "d", (0, (1, 1))),
    "joint": Look(GREY, "8", (0, (6, 2))),
}
_SPARE = [
    Look(colour, marker, dashes)
    for marker, dashes in (("<", (0, (2, 1))), (">", (0, (7, 1))), ("H", (0, (2, 2, 6, 2))))
    for colour in (ORANGE, BLUE, GREEN, VERMILION, PURPLE, SKY)
]


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Return the look of each method, in the order in which legends name them.

    Known methods always look the same. Other runs take the spare looks by their order, which is the
    same in every figure of a study because all of its tables name the same runs.
    """
    chosen: dict[str, Look] = {}
    spare = 0
    for name in in_order(methods):
        if name in LOOKS:
            chosen[name] = LOOKS[name]
        else:
            chosen[name] = _SPARE[spare % len(_SPARE)]
            spare += 1
    return chosen


def use() -> None:
    """Switch the house style on: call it once, before the first figure."""
    seaborn.set_theme(context="paper", style="ticks")
    matplotlib_fontja.japanize()
    matplotlib.rcParams.update(
        {
            # The first font that has a glyph draws it, so Japanese falls through to the second.
            "font.family": ["DejaVu Sans", matplotlib_fontja.matplotlib_fontja.FONT_NAME],
            "font.size": 8,
            "axes.titlesize": 8.5,
            "axes.labelsize": 8,
            "xtick.labelsize": 7.5,
            "ytick.labelsize": 7.5,
            "legend.fontsize": 7.5,
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
    """Write ``figure`` as ``stem.pdf``, ``stem.svg`` and ``stem.png``, each whole or not at all."""
    written = []
    for kind in FORMATS:
        path = Path(f"{stem}.{kind}")
        # Dates and versions would make the bytes of an unchanged figure differ.
        metadata = {
            "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
            "svg": {"Date": None, "Creator": None},
            "png": {"Software": None},
        }[kind]
        with atomic(path) as temporary:
            figure.savefig(
                temporary, format=kind, dpi=RESOLUTION, metadata=metadata, bbox_inches="tight"
            )
        written.append(path)
    return written


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
