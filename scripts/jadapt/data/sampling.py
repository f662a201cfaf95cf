"""Training rows in which every text is segmented anew: subword regularisation (Kudo, ACL 2018).

Only training batches are; what is evaluated or validated reads the token files as they are.
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
    """``training.subword_regularisation``; see `Tokenizer.sample_batch` for the two."""

    alpha: float
    nbest_size: int


class SampledStream(PackedStream):
    """A `PackedStream` whose documents come in segmentations drawn at random.

    An epoch is divided into blocks of 64 rows (the last may be smaller). A block holds the
    documents that begin in it, in the order of the epoch, in segmentations that follow from (seed,
    epoch, block) alone: whatever row a run begins with, and whichever process asks, a row is the
    same. There are as many rows as without sampling, so schedules agree. Sampled texts take more
    tokens, and what does not fit into the rows of its block is left out of that epoch; where there
    are fewer, the block begins again.
    """

    def __init__(
        self,
        token_file: TokenFile,
        sequence_length: int,
        seed: int,
        tokenizer: Tokenizer,
        regularisation: Regularisation,
    ) -> None:
        super().__init__(token_file, sequence_length, seed, tokenizer.start_id, tokenizer.end_id)
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
            # One document fills the whole block: go on in it where its plain segmentation would.
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
        # Positions restart with every row, too.
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
