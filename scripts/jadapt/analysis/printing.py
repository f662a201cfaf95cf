"""Tables as printed: from named number columns to headings and rounded cells.

A column is named ``metric`` or ``metric:part`` (the part is a domain or a script class); next to a
mean, ``metric:ci95`` or ``metric:part:ci95`` holds the half-width of its interval, and ``…:mark``
words that follow the number, or stand alone where there is none (a row without either is blank).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

import pandas as pd

from jadapt.analysis.gpu_benchmark import label_of
from jadapt.analysis.labels import (
    LANGUAGES,
    domain_label,
    method_label,
    script_label,
    segmenter_label,
    tokenizer_label,
)
from jadapt.analysis.statistics import Estimate
from jadapt.evaluation.metrics.registry import declaration

MISSING = "–"
INTERVAL = "ci95"
MARK = "mark"


def fixed(value: float, digits: int = 3) -> str:
    """Return ``value`` with so many decimals, commas between thousands and a true minus sign.

    A missing value is a dash.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    # Adding zero turns a negative zero into a positive one.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def count(value: float) -> str:
    """Return a whole number with thousands separated by commas."""
    return fixed(value, 0)


def significant(value: float, digits: int = 3) -> str:
    """Return ``value`` with so many significant digits, never in exponent notation."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return fixed(value, decimals)


def plain(value: float, digits: int = 2) -> str:
    """Return a setting such as a learning rate: ``0.001``, ``3 × 10⁻⁵``, never ``3e-05``."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits + 4}g}"
    # Rounded first: 0.0000999 with two digits is 1 × 10⁻⁴, not 10 × 10⁻⁵.
    value = float(f"{value:.{digits}g}")
    exponent = math.floor(math.log10(abs(value)))
    power = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{value / 10**exponent:.{digits}g} × 10{power}"


def probability(value: float) -> str:
    """Return a p value with three decimals; a smaller one as ``<0.001``."""
    return "<0.001" if math.isfinite(value) and value < 0.0005 else fixed(value, 3)


def estimated(value: Estimate, digits: int = 3) -> str:
    """Return ``mean ± half-width``, or the mean alone when one seed gives no interval."""
    mean = fixed(value.mean, digits)
    # Unbreakable spaces keep the interval on the line of its mean.
    return f"{mean}\u00a0±\u00a0{fixed(value.half_width, digits)}" if value.has_interval else mean


def agreeing_digits(first: float, second: float, difference: float, digits: int = 3) -> int:
    """Return how many decimals it takes for ``first - second``, as printed, to be the difference.

    With three, 2.0026 and 1.9962 read 2.003 and 1.996, seven thousandths apart, and their
    difference reads 0.006. Where no number of decimals up to six helps, it is three.
    """
    for tried in range(digits, 7):
        printed = round(first, tried) - round(second, tried)
        if round(printed, tried) == round(difference, tried):
            return tried
    return digits


def percent(share: float, digits: int = 1) -> str:
    """Return a share from 0 to 1 in per cent."""
    return f"{fixed(100 * share, digits)}\u00a0%"


def estimated_percent(value: Estimate, digits: int = 2) -> str:
    """Return the `estimated` form of a share from 0 to 1, in per cent."""
    hundredfold = replace(value, mean=100 * value.mean, half_width=100 * value.half_width)
    return f"{estimated(hundredfold, digits)}\u00a0%"


def p_value(p: float) -> str:
    """Return a p value as it stands after its letter; a small one only as smaller than a bound."""
    return f"{'<' if p < 0.0005 else '='} {max(p, 0.001):.3f}"


def _text(value: object) -> str:
    return MISSING if value is None or value != value or value == "" else str(value)


def _part_percent(part: str) -> str:
    return part.replace("%", "\u00a0%")


@dataclass(frozen=True)
class Column:
    """How one metric is printed: the heading that spans its parts, its own, and its rounding."""

    group: str
    label: str
    show: Callable[..., str] = fixed
    numeric: bool = True
    digits: int | None = None
    # Repeated words in neighbouring rows are printed once.
    collapse: bool = False
    # Width in the paper of a column of sentences, which wrap; others are as wide as their cells.
    width: str | None = None
    # How the part of the column's name is written in its heading.
    part: Callable[[str], str] = domain_label

    def cell(self, value: object) -> str:
        """Return one printed number or word."""
        return self.show(value) if self.digits is None else self.show(value, self.digits)


COLUMNS = {
    "method": Column(
        "", "Method", lambda name: method_label(_text(name)), numeric=False, collapse=True
    ),
    "learned": Column("Japanese", "gain when trained ↑", digits=3),
    "gain": Column("Japanese", "gain ↑", digits=3),
    "gain_p": Column("Japanese", "p", probability),
    "loss": Column("Known language", "loss ↓", digits=3),
    "loss_p": Column("Known language", "p", probability),
    "learning_rate": Column("Learning rate", "chosen", plain),
    "setting": Column("", "Setting", _text, numeric=False),
    "variant": Column("", "Value", _text, numeric=False),
    "loss_scale": Column("Scaled loss", "scale", count),
    "skipped_steps": Column("Scaled loss", "steps skipped", count),
    "rates_tried": Column("Learning rate", "tried", count),
    "validation_at_rate": Column(
        "Validation bits per byte at learning rate", "", digits=3, part=lambda x: plain(float(x))
    ),
    "parameters": Column("Parameters", "all", count),
    "trainable_parameters": Column("Parameters", "trainable", count),
    "trainable_percent": Column("Parameters", "%", significant, digits=3),
    "tokens_per_second": Column("Tokens", "per second ↑", count),
    "tokens": Column("Tokens", "seen", count),
    "steps": Column("", "Steps", count),
    "training_seconds": Column("Seconds", "training ↓", digits=1),
    "seconds": Column("Seconds", "in all ↓", digits=1),
    "peak_memory_mib": Column("Memory", "peak, MiB ↓", count),
    "final_training_loss": Column("Training loss", "final, nats ↓", digits=3),
    "device": Column("", "Device", _text, numeric=False),
    "seeds": Column("", "Seeds", count),
    "steps_to_converge": Column("To within 5 % of the end", "steps ↓", digits=1),
    "variance_at_end": Column("Last tenth", "variance, nats²", digits=4),
    "validation_rise": Column("After the turning point", "validation loss", digits=4),
    "training_change": Column("After the turning point", "training loss", digits=3),
    "overfitting_p": Column("Overfitting", "p", probability),
    "gain_difference": Column("Japanese gain, difference", "mean ± t", digits=3),
    "gain_low": Column("Japanese gain, difference", "bootstrap from", digits=3),
    "gain_high": Column("Japanese gain, difference", "to", digits=3),
    "gain_effect": Column("Japanese gain, difference", "g", digits=1),
    "loss_difference": Column("Known language lost, difference", "mean ± t", digits=3),
    "loss_low": Column("Known language lost, difference", "bootstrap from", digits=3),
    "loss_high": Column("Known language lost, difference", "to", digits=3),
    "loss_effect": Column("Known language lost, difference", "g", digits=1),
    "claim_source": Column("", "Published by", _text, numeric=False, collapse=True, width="16mm"),
    "statement": Column("", "Claim", _text, numeric=False, width="78mm"),
    "claimed": Column("", "Expected", _text),
    "here": Column("", "Here", _text),
    "verdict": Column("", "Verdict", _text, numeric=False),
    "domain": Column(
        "", "Domain", lambda name: domain_label(_text(name)), numeric=False, collapse=True
    ),
    "measured_on": Column("", "Domain", lambda name: domain_label(_text(name)), numeric=False),
    "language": Column(
        "", "Lang.", lambda code: LANGUAGES.get(code, _text(code)), numeric=False, collapse=True
    ),
    "source": Column("", "Source", _text, numeric=False),
    "licence": Column("", "Licence", _text, numeric=False),
    "reached": Column("", "Reached", _text, numeric=False),
    "documents": Column("Size", "documents", count),
    "characters": Column("Size", "characters", count),
    "bytes": Column("Size", "bytes", count),
    "segmenter": Column("", "Segmenter", lambda name: segmenter_label(_text(name)), numeric=False),
    "words": Column("Gold words, %", "", digits=2, part=str),
    "agreement": Column("Agreement with MeCab, no gold reached, %", "", digits=2, part=str),
    "word_script": Column("F1 by script of the word, %", "", digits=1, part=script_label),
    "agreement_script": Column(
        "Agreement (F1) by script of the word, %", "", digits=1, part=script_label
    ),
    "tokenizer": Column("", "Tokenizer", lambda name: tokenizer_label(_text(name)), numeric=False),
    "vocabulary_size": Column("", "Entries", count),
    "tokens_per": Column("Tokens per", "", digits=2, part=str),
    "gold_words_whole": Column("Share, %", "gold words whole", digits=0),
    "mecab_words_whole": Column("Share, %", "MeCab's words whole", digits=0),
    "byte_fallback_share": Column("Share, %", "byte tokens", digits=1),
    "encoding_speed": Column("MB/s", "", significant, digits=2, part=str),
    "trained": Column(
        "", "Method", lambda name: label_of(_text(name)), numeric=False, collapse=True
    ),
    "batch": Column("", "Batch", _text, numeric=False),
    "peak_mib": Column("Memory, MiB", "peak ↓", count),
    "weights_mib": Column("Memory, MiB", "weights", count),
    "gradients_mib": Column("Memory, MiB", "gradients", count),
    "optimiser_mib": Column("Memory, MiB", "optimiser", count),
    "activations_mib": Column("Memory, MiB", "activations", count),
    "utilisation_percent": Column("Of the peak", "FLOP/s, % ↑", digits=1),
    "seconds_a_million_tokens": Column("Seconds a", "million tokens ↓", significant, digits=3),
    "compared": Column("", "Compared at", _text, numeric=False),
    "batch_of": Column("Batch", "", _text, numeric=False, part=str),
    "speed_of": Column("Tokens per second ↑", "", significant, digits=3, part=str),
    "peak_of": Column("Peak memory, MiB ↓", "", significant, digits=3, part=str),
    "change": Column("", "Switched on", _text, numeric=False),
    "precision": Column("", "Precision", _text, numeric=False),
    "varied_speed": Column("Tokens per second ↑", "measured", count),
    "slowest_speed": Column("Tokens per second ↑", "slowest", count),
    "speed_ratio": Column("Tokens per second ↑", "ratio", digits=2),
    "varied_peak": Column("Peak memory, MiB ↓", "measured", count),
    "peak_ratio": Column("Peak memory, MiB ↓", "ratio", digits=2),
    "layout": Column("", "Devices", _text, numeric=False),
    "memory_a_device": Column("Peak memory,", "MiB a GPU ↓", count),
    "loss_within": Column("Losses differ", "at most by", plain),
    "training_loss_at_end": Column("Training loss", "at the end ↓", digits=3),
    "front_line": Column("", "Method", _text, numeric=False),
    "gain_at_chosen": Column("Chosen point", "learned ↑", digits=3),
    "forgotten": Column("Chosen point", "forgotten ↓", digits=3),
    "most_learned": Column("All points", "most learned ↑", digits=3),
    "forgotten_at": Column("Forgotten at equal learning ↓", "", digits=3, part=_part_percent),
    "interpolated_at": Column("Interpolated ↓", "", digits=3, part=_part_percent),
    "front_area": Column("Area", "↓", digits=3),
    "front_strength": Column("Strength", "chosen", _text),
    "domain_change": Column("Bits per byte above the base model ↓", "", digits=3),
    "script_share": Column("Characters by script, %", "", digits=1),
}


@dataclass(frozen=True)
class Printed:
    """A table of strings: per column its spanning heading, heading and alignment, then rows."""

    groups: list[str]
    labels: list[str]
    numeric: list[bool]
    rows: list[list[str]]
    widths: list[str | None]

    def frame(self) -> pd.DataFrame:
        """Return the same as a data frame, for display in a notebook."""
        return pd.DataFrame(
            self.rows, columns=pd.MultiIndex.from_arrays([self.groups, self.labels])
        )

    def spans(self) -> list[tuple[str, int, int]]:
        """Return the spanning headings as (words, first column, number of columns)."""
        found, start = [], 0
        for words, members in groupby(self.groups):
            width = len(list(members))
            found.append((words, start, width))
            start += width
        return found


def present(frame: pd.DataFrame) -> Printed:
    """Turn a table of numbers (see the module) into the table that is printed."""
    printed = Printed([], [], [], [[] for _ in range(len(frame))], [])
    for name in frame.columns:
        metric, *part = str(name).split(":")
        if part and part[-1] in (INTERVAL, MARK):
            continue
        column = COLUMNS.get(metric) or _column_of(metric)
        cells = [column.cell(value) for value in frame[name]]
        interval, mark = f"{name}:{INTERVAL}", f"{name}:{MARK}"
        if interval in frame.columns:
            halves = [column.cell(value) for value in frame[interval]]
            pairs = zip(cells, halves, strict=True)
            cells = [mean if half == MISSING else f"{mean} ± {half}" for mean, half in pairs]
        if mark in frame.columns:
            marks = ["" if _text(value) == MISSING else str(value) for value in frame[mark]]
            cells = [_marked(*pair) for pair in zip(cells, marks, strict=True)]
        if column.collapse:
            cells = _once(cells)
        printed.groups.append(column.group)
        printed.labels.append(column.part(part[0]) if part else column.label)
        printed.numeric.append(column.numeric)
        printed.widths.append(column.width)
        for row, cell in zip(printed.rows, cells, strict=True):
            row.append(cell)
    return printed


def _column_of(name: str) -> Column:
    """Return the column of a metric as it declares itself; what is no metric is words."""
    metric = declaration(name)
    if metric is None:
        return Column("", name.replace("_", " "), _text, numeric=False)
    group, label = metric.heading()
    return Column(group, label, digits=metric.digits)


def _marked(cell: str, mark: str) -> str:
    return mark if cell == MISSING else f"{cell}{mark}"


def _once(cells: list[str]) -> list[str]:
    return ["" if index and cell == cells[index - 1] else cell for index, cell in enumerate(cells)]
