"""Figure: tokens per character of each tokenizer, by script."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from jadapt.analysis.labels import SCRIPTS, tokenizer_label
from jadapt.analysis.tokenizer_tables import ALL, FERTILITY, names
from jadapt.figures import style
from jadapt.figures.legends import DOMAIN_MARKERS, domain_legend

SHOWN = ("hiragana", "katakana", "kanji", "other")


def fertility(table: pd.DataFrame) -> Figure:
    """Draw tokens per character: a panel per script, a row per tokenizer, a marker per domain."""
    rows = table[(table["metric"] == FERTILITY) & (table["script"] != ALL)]
    shown = [script for script in SHOWN if script in set(rows["script"])]
    tokenizers = names(table)
    domains = list(rows["domain"].unique())
    figure, axes = pyplot.subplots(
        1, len(shown), figsize=(style.WIDTH, 1.2 + 0.27 * len(tokenizers)), squeeze=False,
        sharey=True, layout="constrained",
    )  # fmt: skip
    offsets = np.linspace(-0.22, 0.22, len(domains)) if len(domains) > 1 else [0.0]
    for axis, script in zip(axes[0], shown, strict=True):
        for offset, domain, marker in zip(offsets, domains, DOMAIN_MARKERS, strict=False):
            own = rows[(rows["script"] == script) & (rows["domain"] == domain)]
            values = own.set_index("tokenizer")["value"].reindex(tokenizers)
            axis.plot(
                values, np.arange(len(tokenizers)) + offset, marker, color=style.BLUE,
                markersize=4.2, markeredgecolor="white", markeredgewidth=0.4,
            )  # fmt: skip
        axis.axvline(1, color="#999999", linewidth=0.7, zorder=1)
        axis.set_title(SCRIPTS[script], linespacing=1.3)
        axis.set_xlim(left=0)
        axis.tick_params(axis="y", length=0)
    axes[0][0].set_yticks(range(len(tokenizers)), [tokenizer_label(name) for name in tokenizers])
    axes[0][0].set_ylim(len(tokenizers) - 0.5, -0.5)
    figure.supxlabel("tokens per character", fontsize=style.SMALLEST)
    domain_legend(figure, domains)
    return figure
