"""Rows from several streams in fixed proportions, with random access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Stream(Protocol):
    """An endless sequence of training rows, such as `jadapt.data.packing.PackedStream`."""

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Return row ``index`` as arrays of shape (sequence_length,)."""


class MixedStream:
    """``main`` with every so-many-th row taken from ``other``.

    The rows of ``other`` are spread evenly: among the first n rows of the mixture there are
    floor(n * share) of them, so every batch holds its part and a run can be resumed at any row.
    Both streams are read in their own order, without gaps.
    """

    def __init__(self, main: Stream, other: Stream, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share {share} is outside of 0 to 1")
        self._main, self._other, self._share = main, other, share

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Return ``input_ids``, ``labels`` and ``position_ids`` of a row: int64 arrays."""
        before, after = self._others(index), self._others(index + 1)
        if after > before:
            return self._other.row(before)
        return self._main.row(index - before)

    def _others(self, count: int) -> int:
        """Number of rows of ``other`` among the first ``count`` rows."""
        # The small term keeps products such as 100 * 0.29 = 28.999… from losing a row.
        return int(count * self._share + 1e-9)


class Interleaved:
    """The rows of several streams in turn: row i is row i // n of stream i % n."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        if not streams:
            raise ValueError("no streams to interleave")
        self._streams = list(streams)

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Return ``input_ids``, ``labels`` and ``position_ids`` of a row: int64 arrays."""
        turn, place = divmod(index, len(self._streams))
        return self._streams[place].row(turn)


class Repeated:
    """The first ``count`` rows of a stream, over and over."""

    def __init__(self, stream: Stream, count: int) -> None:
        if count < 1:
            raise ValueError(f"{count} rows")
        self._stream, self._count = stream, count

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Return ``input_ids``, ``labels`` and ``position_ids`` of a row: int64 arrays."""
        return self._stream.row(index % self._count)
