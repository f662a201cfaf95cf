"""Bucketing: divide a list into consecutive parts of limited total size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def divide(items: Sequence[T], sizes: Sequence[int], size: int) -> list[list[T]]:
    """Divide items, in order, into buckets whose sizes sum to ``size`` at most.

    An item that is larger than ``size`` gets a bucket of its own.
    """
    lists: list[list[T]] = []
    held = 0
    for item, own in zip(items, sizes, strict=True):
        if not lists or held + own > size:
            lists.append([])
            held = 0
        lists[-1].append(item)
        held += own
    return lists
