"""Legends that name the methods of a figure, outside of every axis."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from jadapt.analysis.labels import FAMILIES, domain_label, families, method_label
from jadapt.figures import style

# Domains share a row of a dot plot, so their markers must differ in more than place.
DOMAIN_MARKERS = ("o", "s", "^", "D", "v", "P")


def handles(methods: Iterable[str], *, lines: bool = False) -> list[Line2D]:
    """Return one legend entry a method, in the house order; with dashes where lines are drawn."""
    return [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.dashes if lines else "none",
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.5,
            markersize=6,
            label=method_label(method),
        )
        for method, look in style.looks(methods).items()
    ]


def legend(figure: Figure, methods: list[str], *, lines: bool = False, above: bool = False) -> None:
    """Name the methods beneath the panels (or above)."""
    entries = handles(methods, lines=lines)
    rows = -(-len(entries) // 4)
    figure.legend(
        handles=entries,
        loc="outside upper center" if above else "outside lower center",
        ncols=-(-len(entries) // rows),
        handlelength=2.6 if lines else 1.0,
    )


def family_legend(figure: Figure, methods: list[str]) -> None:
    """Name the methods to the right of the panels, under the names of their families."""
    entries: list = []
    for key, members in families(methods).items():
        entries += [Patch(alpha=0, label=FAMILIES[key]), *handles(members)]
    shown = figure.legend(
        handles=entries, loc="outside right upper", handlelength=1.0, labelspacing=0.45
    )
    headings = set(FAMILIES.values())
    for text in shown.get_texts():
        if text.get_text() in headings:
            text.set_fontweight("bold")
            # Headings have no marker: they begin where the markers do.
            text.set_x(-16)


def domain_legend(figure: Figure, domains: list[str]) -> None:
    """Name the domains above the panels, where there are several."""
    if len(domains) < 2:
        return
    figure.legend(
        handles=[
            Line2D([], [], linestyle="none", color="#555555", marker=marker, markersize=4.5,
                   label=domain_label(domain))
            for domain, marker in zip(domains, DOMAIN_MARKERS, strict=False)
        ],
        loc="outside upper center", ncols=len(domains), handlelength=1.0,
    )  # fmt: skip
