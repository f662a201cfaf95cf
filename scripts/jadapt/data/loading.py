"""Packed rows as a torch dataset."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Dataset, Sampler

from jadapt.data.mixing import Stream


class PackedRows(Dataset):
    """The rows [0, count) of a stream, as int64 tensors of shape (sequence_length,).

    Rows depend on nothing but their index, so a loader that does not shuffle gives the same order
    whatever its number of workers.
    """

    def __init__(self, stream: Stream, count: int) -> None:
        if count < 0:
            raise ValueError(f"{count} rows")
        self._stream, self._count = stream, count

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``labels`` and ``position_ids`` of a row."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return {name: torch.from_numpy(values) for name, values in self._stream.row(index).items()}


class RowsFrom(Sampler):
    """Rows in order from ``start`` to the end, for a run that resumes where it was stopped.

    Micro-batches (blocks of rows) are dealt to the processes in turn, so that in each optimiser
    step all processes together see the rows that a single process would see.

    The length is that of the whole run, not of its rest: Lightning counts the batches of an epoch
    from the first attempt on. If a resumed loader reported fewer, Lightning would end the epoch
    early and draw the first batch twice.

    Args:
        start: first row, counted over all processes; a multiple of ``block * ranks``.
        stop: number of rows of the whole run, over all processes; also a multiple.
        block: rows per micro-batch.
        rank: rank of this process.
        ranks: number of processes.
    """

    def __init__(
        self, start: int, stop: int, block: int = 1, rank: int = 0, ranks: int = 1
    ) -> None:
        if not 0 <= start <= stop or start % (block * ranks) or stop % (block * ranks):
            raise ValueError(f"rows {start} to {stop} in blocks of {block} for {ranks}")
        self._start, self._stop = start, stop
        self._block, self._rank, self._ranks = block, rank, ranks

    def __len__(self) -> int:
        """Return the number of rows of this process in the whole run."""
        return self._stop // self._ranks

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of the remaining rows of this process."""
        for first in range(
            self._start + self._rank * self._block, self._stop, self._ranks * self._block
        ):
            yield from range(first, first + self._block)
