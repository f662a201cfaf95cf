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
    """Rows in order, from ``start`` to the end, for a run that goes on where it was stopped.

    Several processes are dealt the blocks of a micro-batch in turn, so that all their micro-batches
    of an optimiser step together are those of one process.

    Its length is that of the whole run: Lightning counts the batches of an epoch from its first
    attempt on, and would end the epoch, and draw the first batch twice, if a resumed loader said
    that it was shorter.

    Args:
        start: first row of all processes; a multiple of ``block * ranks``.
        stop: number of rows of the whole run, of all processes; another multiple.
        block: rows of a micro-batch.
        rank: of the process.
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
        """Return the number of this process's rows of the whole run."""
        return self._stop // self._ranks

    def __iter__(self) -> Iterator[int]:
        """Yield the remaining row numbers."""
        for first in range(
            self._start + self._rank * self._block, self._stop, self._ranks * self._block
        ):
            yield from range(first, first + self._block)
