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

from jadapt.analysis.labels import in_order
from jadapt.core.files import atomic
from jadapt.figures import metadata

# Text width of the paper, in inches: figures are drawn at their printed size.
WIDTH = 6.3
FORMATS = ("pdf", "svg", "png")
RESOLUTION = 200

# Okabe and Ito's colours, which stay apart for colour-blind readers. Black and grey are for what
# methods are measured against; yellow is left out because thin lines in it disappear on white.
BLACK, GREY, BLUE, VERMILION = "#111111", "#777777", "#0072b2", "#d55e00"
GREEN, PURPLE, ORANGE, SKY = "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
# Darker companions: a family of methods shares a hue and differs in lightness.
BROWN, NAVY, FOREST, PLUM, LIME, ROSE = (
    "#7f2d04", "#08306b", "#00513b", "#7a3b6c", "#86b817", "#f2907a",
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How one method is drawn in every figure; the marker and dashes survive a grey print."""

    colour: str
    marker: str
    dashes: str | tuple = "-"


LOOKS = {
    "base": Look(GREY, "X", ":"),
    "sft": Look(BLACK, "o"),
    "joint": Look(GREY, "8", (0, (6, 2))),
    # Few parameters: reds and oranges.
    "lora": Look(VERMILION, "s", "--"),
    "dora": Look(BROWN, "P", "-."),
    "houlsby": Look(ORANGE, "^", (0, (5, 1, 1, 1))),
    "prefix": Look(ROSE, "v", (0, (3, 1))),
    # Regularisation: blues, and purple for growth.
    "l2": Look(SKY, "<", (0, (1, 1))),
    "ewc": Look(BLUE, "D", "-"),
    "online_ewc": Look(NAVY, "d", (0, (4, 1, 1, 1))),
    "lora_ewc": Look("#8da0cb", "H", (0, (3, 1))),
    "den": Look(PLUM, "X", "-."),
    # Memory of old text: greens.
    "replay": Look(GREEN, ">", "-"),
    "gem": Look(FOREST, "p", "--"),
    "agem": Look(LIME, "h", "-."),
    "lora_replay": Look("#66c2a4", "s", (0, (2, 1))),
}
_SPARE = [
    Look(colour, marker, dashes)
    for marker, dashes in (("o", (0, (2, 1))), ("X", (0, (7, 1))), ("8", (0, (2, 2, 6, 2))))
    for colour in (PURPLE, ORANGE, BLUE, GREEN, VERMILION, SKY)
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
    # A `matplotlibrc` of the user's, in the folder or elsewhere, was read by now.
    matplotlib.rcdefaults()
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
