"""Lists in portions of limited size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def divide(items: Sequence[T], sizes: Sequence[int], size: int) -> list[list[T]]:
    """Return items in their order in lists of ``size`` at most, or of one item that has more."""
    lists: list[list[T]] = []
    held = 0
    for item, own in zip(items, sizes, strict=True):
        if not lists or held + own > size:
            lists.append([])
            held = 0
        lists[-1].append(item)
        held += own
    return lists
