"""Subword regularisation (Kudo, ACL 2018): training texts are segmented at random in every epoch.

Evaluation and validation read the token files, without sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jadapt.data.packing import PackedStream
from jadapt.data.tokens import TokenFile
from jadapt.tokenization.tokenizers import Tokenizer

BLOCK_ROWS = 64


@dataclass(frozen=True)
class Regularisation:
    """``training.subword_regularisation``; see `Tokenizer.sample_batch` for the two parameters."""

    alpha: float
    nbest_size: int


class SampledStream(PackedStream):
    """A `PackedStream` whose documents come in segmentations drawn at random.

    An epoch is divided into blocks of 64 rows (the last may be smaller). A block holds the
    documents that begin in it, in the order of the epoch. Their segmentations depend only on (seed,
    epoch, block), so a row is the same in every process and after resuming at any row. There are
    as many rows as without sampling, so that schedules agree. Sampled segmentations usually have
    more tokens; those that do not fit into the rows of their block are left out of the epoch. If
    there are too few, the block is repeated from its beginning.
    """

    def __init__(
        self,
        token_file: TokenFile,
        sequence_length: int,
        seed: int,
        tokenizer: Tokenizer,
        regularisation: Regularisation,
        documents: range | None = None,
    ) -> None:
        ends = tokenizer.start_id, tokenizer.end_id
        super().__init__(token_file, sequence_length, seed, *ends, documents)
        self._tokenizer, self._regularisation = tokenizer, regularisation
        self._block: tuple[int, int] | None = None
        self._rows: dict[str, np.ndarray] = {}

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Return ``input_ids``, ``labels`` and ``position_ids``: int64, (sequence_length,)."""
        if index < 0:
            raise IndexError(f"row {index}")
        epoch, row = divmod(index, self.rows_per_epoch)
        block, place = divmod(row, BLOCK_ROWS)
        if self._block != (epoch, block):
            self._prepare(epoch)
            self._rows = self._sample(epoch, block)
            self._block = (epoch, block)
        return {name: values[place].copy() for name, values in self._rows.items()}

    def _sample(self, epoch: int, block: int) -> dict[str, np.ndarray]:
        """Return the rows of a block, each array of shape (rows, sequence_length)."""
        length = self.sequence_length
        rows = min(BLOCK_ROWS, self.rows_per_epoch - block * BLOCK_ROWS)
        begin = block * BLOCK_ROWS * length
        first, last = np.searchsorted(self._bounds[:-1], [begin, begin + rows * length])
        skipped = 0
        if first == last:
            # No document begins in this block: one document fills it. Continue it at the position
            # that the block has in its unsampled segmentation.
            first -= 1
            skipped = begin - int(self._bounds[first])
        documents = self._segment(first, last, (self._seed, epoch, block))
        inputs = np.concatenate([[self._start_id, *ids] for ids in documents])[skipped:]
        labels = np.concatenate([[*ids, self._end_id] for ids in documents])[skipped:]
        positions = np.concatenate([np.arange(len(ids) + 1) for ids in documents])[skipped:]
        inputs, labels, positions = (
            np.resize(values, (rows, length)).astype(np.int64)
            for values in (inputs, labels, positions)
        )
        # Positions also restart with every row.
        starts = np.maximum.accumulate(
            np.where((positions == 0) | (np.arange(length) == 0), np.arange(length), 0), axis=1
        )
        return {
            "input_ids": inputs,
            "labels": labels,
            "position_ids": np.arange(length) - starts,
        }

    def _segment(self, first: int, last: int, key: tuple[int, int, int]) -> list[list[int]]:
        texts = [
            self._tokenizer.decode(self._file.document(self._order[place]).tolist())
            for place in range(first, last)
        ]
        (seed,) = np.random.SeedSequence(key).generate_state(1)
        return self._tokenizer.sample_batch(
            texts,
            alpha=self._regularisation.alpha,
            nbest_size=self._regularisation.nbest_size,
            seed=int(seed),
        )
