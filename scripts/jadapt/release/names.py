"""Names for the values that the paper's template is filled with, and values that know theirs.

A value is named by the way to it from the top of the context: ``leaders.average.0.gain``. What a
list holds is named by its own name or label where each entry has one (``comparisons.lora.gain_p``,
``scripts.kanji``), and by its place, from zero, where not. Runs come first: ``lora.gain``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pandas as pd

from jadapt.analysis.printed_tables import slug
from jadapt.analysis.statistics import Estimate

DIGITS = re.compile(r"\d+(\.\d+)?")
LONG = 30
DEEP = 6
# What the text makes of a number.
DERIVED: dict[str, Callable[[float], float]] = {
    "root": math.sqrt, "complement": lambda value: 1 - value,
}  # fmt: skip


class NamedInt(int):
    """A whole number that knows its name."""

    name: str


class NamedFloat(float):
    """A number that knows its name, also as ``1 - number``."""

    name: str

    def __rsub__(self, other: float) -> NamedFloat:
        """Return ``other - self``, where other is one."""
        return named(float(other) - float(self), f"{self.name}.complement")


class NamedText(str):
    """A number in words of the configuration that knows its name."""

    name: str


def named(value: int | float | str, name: str) -> NamedInt | NamedFloat | NamedText:
    """Return a number that knows its name."""
    kind = {int: NamedInt, str: NamedText}.get(type(value), NamedFloat)
    made = kind(value)
    made.name = name
    return made


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, in digits or in text, or an estimate of one."""
    if isinstance(value, str):
        return DIGITS.fullmatch(value) is not None
    return isinstance(value, int | float | Estimate) and not isinstance(value, bool)


def unwrapped(value: Any) -> Any:
    """Return what a pair of a label and a value stands for: the value."""
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    return value[1] if pair else value


def entries(values: Iterable[Any]) -> list[tuple[str, Any]]:
    """Return the entries of a list by key; see the module."""
    values = list(values)
    keys = [_key(value) for value in values]
    if None in keys or len(set(keys)) < len(keys):
        keys = [str(index) for index in range(len(values))]
    return list(zip(keys, values, strict=True))


def _key(value: Any) -> str | None:
    words = None
    if is_dataclass(value):
        run = getattr(value, "method", None)
        found = (getattr(part, key, None) for key in ("name", "value", "label")
                 for part in (run, value))  # fmt: skip
        words = next((word for word in found if isinstance(word, str)), None)
    elif isinstance(value, dict):
        words = value.get("label")
    elif isinstance(value, tuple) and value and isinstance(value[0], str):
        words = value[0]
    made = slug(words).replace(".", "_") if words else None
    return made if made and len(made) <= LONG else None


def child(value: Any, key: str) -> Any:
    """Return one step of the way to a value.

    Raises:
        KeyError: there is no such step.
    """
    value = unwrapped(value)
    if isinstance(value, Mapping):
        return {str(own): part for own, part in value.items()}[key]
    if isinstance(value, list | tuple | set):
        if key == "length":
            return len(value)
        by_key = dict(entries(value))
        return by_key[key] if key in by_key else dict(enumerate(value))[_index(key)]
    if isinstance(value, int | float) and key in DERIVED:
        return DERIVED[key](value)
    if is_dataclass(value) and key in _attributes(value):
        return getattr(value, key)
    raise KeyError(key)


def _index(key: str) -> int:
    if not key.isdecimal():
        raise KeyError(key)
    return int(key)


def find(root: Mapping[str, Any], name: str) -> Any:
    """Return the value of a name.

    Raises:
        KeyError: there is no such value.
    """
    value: Any = root
    for key in name.split("."):
        value = child(value, key)
    return unwrapped(value)


def _attributes(value: Any) -> list[str]:
    kind = type(value)
    own = [key for key, part in vars(kind).items() if isinstance(part, property)]
    return [*(field.name for field in fields(kind)), *own]


def numbers(value: Any, name: str, depth: int = 0) -> Iterator[str]:
    """Return the names of all numbers beneath a value."""
    value = unwrapped(value)
    if is_number(value):
        yield name
    elif depth < DEEP and not isinstance(value, str | pd.Series):
        parts: Iterable[tuple[str, Any]] = []
        if isinstance(value, Mapping):
            parts = ((str(key), part) for key, part in value.items())
        elif isinstance(value, list | tuple):
            yield f"{name}.length"
            parts = entries(value)
        elif is_dataclass(value):
            parts = ((key, getattr(value, key)) for key in _attributes(value) if key != "settings")
        for key, part in parts:
            yield from numbers(part, f"{name}.{key}" if name else key, depth + 1)
