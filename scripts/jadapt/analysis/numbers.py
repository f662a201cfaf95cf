"""The numbers of a paper: each with a name, its value, its printed form, and the rows it is from.

What computes values for the text hands each of them to a `Numbers`; ``numbers.csv`` is the list of
them, the template prints from it by name, and ``make trace`` looks it up.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from jadapt.core.errors import UserError, nearest
from jadapt.core.tables import NUMBERS

if TYPE_CHECKING:
    from jadapt.analysis.statistics import Estimate

Form = Callable[[Any], str]
_ROWS = re.compile(r"([\w-]+)\[([^\]]*)\]")
# Characters that the text of rows uses itself.
_PLAIN = "<>*+-.,:/ ()×_%é"


def slug(words: str) -> str:
    """Return words as a part of a name: lower case, with underscores for all that is no letter."""
    return re.sub(r"[^\w.]+", "_", words.lower()).strip("_")


@dataclass(frozen=True)
class Rows:
    """Rows of a table: those that have one of some values in each of some columns."""

    table: str
    where: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        """Return ``metrics[method=base|lora; metric=bits_per_byte]``."""
        parts = [
            f"{column}={'|'.join(quote(value, safe=_PLAIN) for value in values)}"
            for column, values in self.where.items()
        ]
        return f"{self.table}[{'; '.join(parts)}]"

    def holds(self, row: Mapping[str, str]) -> bool:
        """Tell whether a row is among them; a number may be written in another way (1 and 1.0)."""
        return all(
            any(_alike(row.get(column, ""), value) for value in values)
            for column, values in self.where.items()
        )


def _alike(cell: str, value: str) -> bool:
    if cell == value:
        return True
    try:
        return float(cell) == float(value)
    except ValueError:
        return False


def rows(table: str, **where: Any) -> Rows:
    """Return rows of a table; a value may be a list of values."""
    return Rows(
        table,
        {
            column: tuple(map(str, value if isinstance(value, list | tuple) else [value]))
            for column, value in where.items()
        },
    )


def read_rows(text: str) -> list[Rows]:
    """Read the column ``rows`` back."""
    found = []
    for table, words in _ROWS.findall(text):
        pairs = (part.split("=", 1) for part in words.split("; ") if part)
        where = {column: tuple(map(unquote, values.split("|"))) for column, values in pairs}
        found.append(Rows(table, where))
    return found


@dataclass(frozen=True)
class Number:
    """A row of ``numbers.csv``. ``table`` names tables with spaces between, or a file; ``rows`` its
    rows, or the key in the file. ``low`` and ``high`` are NaN without an interval."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    printed: str
    table: str
    rows: str


class Numbers:
    """Collects the numbers of a paper; no two have one name."""

    def __init__(self) -> None:
        self._found: dict[str, Number] = {}

    def add(
        self,
        name: str,
        value: float | Estimate,
        form: Form,
        of: Rows | Iterable[Rows] = (),
        unit: str = "",
        *,
        printed: str | None = None,
        file: str = "",
        key: str = "",
    ) -> None:
        """Add a number.

        Args:
            name: parts with points between, such as ``lora.gain``.
            value: a number, or an estimate, whose interval is kept.
            form: how it is printed.
            of: the rows of measurements that it is computed from.
            unit: of the value, not of its printed form.
            printed: the printed form itself, for a cell that a table has already.
            file: what it is read from, where that is no table of measurements.
            key: the place in the file.

        Raises:
            UserError: it has no name, or one that another number has.
        """
        if not name or name != name.strip(".") or " " in name:
            raise UserError(f"a number without a name: {value!r}, called '{name}'")
        if name in self._found:
            raise UserError(f"number '{name}': computed twice; give one of them another name")
        chosen = [of] if isinstance(of, Rows) else list(of)
        # By its parts, since loading statistics takes longer than looking a number up.
        estimate: Any = value if hasattr(value, "has_interval") else None
        known = estimate is not None and estimate.has_interval
        mean: Any = value if estimate is None else estimate.mean
        self._found[name] = Number(
            name,
            float(mean),
            estimate.low if known else math.nan,
            estimate.high if known else math.nan,
            unit,
            form(value) if printed is None else printed,
            file or " ".join(dict.fromkeys(part.table for part in chosen)),
            key or " ".join(map(str, chosen)),
        )

    def __iter__(self) -> Iterator[Number]:
        """Return the numbers in the order in which they were added."""
        return iter(self._found.values())

    def by_name(self) -> Numbered:
        """Return them for looking up."""
        return Numbered(self)

    def write(self, path: Path) -> None:
        """Write ``numbers.csv``."""
        NUMBERS.write(path, (_cells(number) for number in self))


def _cells(number: Number) -> list[Any]:
    ends = ["" if math.isnan(end) else end for end in (number.low, number.high)]
    return [
        number.name, number.value, *ends, number.unit, number.printed, number.table, number.rows
    ]  # fmt: skip


class Numbered(dict[str, Number]):
    """Numbers by name."""

    def __init__(self, numbers: Iterable[Number], source: str = "numbers.csv"):
        super().__init__((number.name, number) for number in numbers)
        self.source = source

    def printed(self, name: str) -> str:
        """Return the printed form of a number.

        Raises:
            UserError: nobody computes a number of this name.
        """
        if name not in self:
            raise UserError(f"number '{name}': not in {self.source}{nearest(name, self)}")
        return self[name].printed


def read(path: Path) -> Numbered:
    """Read ``numbers.csv`` without more than the standard library, since a look-up is quick."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; make it first (snakemake numbers)")
    with open(path, encoding="utf-8", newline="") as stream:
        lines = csv.DictReader(stream)
        NUMBERS.check(lines.fieldnames or (), path)
        found = [Number(**_typed(row)) for row in lines]
    return Numbered(found, str(path))


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: _value(row[name]) if column.kind == "number" else row[name]
        for name, column in NUMBERS.columns.items()
    }


def _value(cell: str) -> float:
    return float(cell) if cell else math.nan
