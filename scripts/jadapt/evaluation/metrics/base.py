"""What a metric declares, and the kinds of metrics by what each is computed from.

A metric is one class with a literal ``key`` in a module of this package, or behind an entry point
of the group ``jadapt.metrics``. Writers of ``metrics.csv`` compute every registered metric; who
prints one asks for it by name (`jadapt.evaluation.metrics.registry.declaration`). Figures and
tables import these modules too, so they hold formulas and import nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from jadapt.evaluation.tally import Tally

if TYPE_CHECKING:
    import numpy as np

LOWER, HIGHER = "lower", "higher"
ARROWS = {LOWER: "↓", HIGHER: "↑"}
TEST, VALIDATION = "test", "validation"

# A value and the number of items that it averages over; None where nothing can be said.
Value = tuple[float, int] | None


class Metric:
    """One metric of ``metrics.csv``.

    Attributes:
        key: its name in the column ``metric``; ``{script}`` and ``{known}`` in it are filled in.
        label: its name for readers; ``family`` is the heading that spans it in tables, where it
            shares one with others.
        unit: as written in the column ``unit``.
        direction: which values are better, ``lower`` or ``higher``.
        splits: of which splits of a text it can be computed.
        digits: decimals in tables.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    unit: ClassVar[str]
    direction: ClassVar[str]
    family: ClassVar[str] = ""
    splits: ClassVar[tuple[str, ...]] = (VALIDATION, TEST)
    digits: ClassVar[int] = 3

    @classmethod
    def heading(cls) -> tuple[str, str]:
        """Return the heading that spans a column of this metric, and its own."""
        arrow = ARROWS[cls.direction]
        return (cls.family, f"{cls.label} {arrow}") if cls.family else (f"{cls.label} {arrow}", "")


class TextMetric(Metric):
    """Of one text, from the sums over its scored tokens.

    ``told`` is whether a model that keeps something of each task is told the task of the text.
    """

    told: ClassVar[bool] = False

    def value(self, tally: Tally) -> Value:
        """Return the metric of a whole text."""
        raise NotImplementedError


class ScriptMetric(Metric):
    """Of the characters of one script within a text; its key holds ``{script}``."""

    def value(self, tally: Tally, script: str) -> Value:
        """Return the metric of the characters of ``script``, of which the text has some."""
        raise NotImplementedError


class KnownMetric(Metric):
    """Of the known language after every task, against the base model; its key holds ``{known}``."""

    def value(self, before: float, after: float) -> float:
        """Compare the bits per byte of the base model and of the adapted one."""
        raise NotImplementedError


class SequenceMetric(Metric):
    """Of a run's whole sequence, from its matrix of losses.

    The matrix R has shape (T + 1, T): R[i, j] is the loss on task j in bits per byte after training
    through task i of T; row 0 is the base model.
    """

    def needed(self, tasks: Sequence[str], known: str) -> set[tuple[str, str]] | None:
        """Return the entries (stage, task) of R that it reads; None where T tasks are too few."""
        raise NotImplementedError

    def value(self, matrix: np.ndarray) -> tuple[float, int]:
        """Return the metric and its divisor."""
        raise NotImplementedError


class TaskMetric(Metric):
    """Of a downstream task, whose file asks for it by its key.

    Attributes:
        harness: what lm-evaluation-harness calls it.
        chance: what guessing reaches; None where it follows from the number of choices.
    """

    harness: ClassVar[str]
    chance: ClassVar[float | None] = None
    splits = (TEST,)

    def standard_error(self, value: float, n: int) -> float:
        """Return the standard error of a share of ``n`` items, where the harness has none."""
        return (value * (1 - value) / (n - 1)) ** 0.5
