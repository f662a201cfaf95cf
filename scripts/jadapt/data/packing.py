"""Rows of a fixed length for training: documents joined without padding, in a seeded order."""

from __future__ import annotations

import numpy as np

from jadapt.core.errors import UserError
from jadapt.data.tokens import TokenFile


def check_sequence_length(sequence_length: int) -> None:
    """Raise a `UserError` unless rows of this length can hold a token and its label."""
    if sequence_length < 1:
        raise UserError(f"sequence_length: expected at least 1, got {sequence_length}")


class PackedStream:
    """An endless sequence of training rows with random access.

    A document of n tokens takes n + 1 slots: inputs ``[start, t1 … tn]``, labels
    ``[t1 … tn, end]``, so no label belongs to another document. Each epoch joins the slots of all
    documents in a permutation of its own, PCG64([seed, epoch]), and cuts them into rows; the last
    partial row of an epoch is dropped. Positions restart at 0 with every document and every row,
    which is what attention masks are built from: packed documents do not see each other.

    Finding a row takes O(log documents) time; memory is O(documents), for one epoch at a time.

    Args:
        token_file: of the domain.
        sequence_length: tokens per row.
        seed: of the order.
        start_id: the token before each document.
        end_id: the label after each document.
        documents: indices of the documents that may be drawn, in steps of one; all by default.

    Raises:
        UserError: the documents do not fill one row.
    """

    def __init__(
        self,
        token_file: TokenFile,
        sequence_length: int,
        seed: int,
        start_id: int,
        end_id: int,
        documents: range | None = None,
    ) -> None:
        check_sequence_length(sequence_length)
        self.sequence_length = sequence_length
        part = range(len(token_file)) if documents is None else documents
        self._documents = np.arange(part.start, part.stop)
        tokens = int(token_file.lengths[self._documents].sum())
        self.rows_per_epoch = (tokens + len(self._documents)) // sequence_length
        if not self.rows_per_epoch:
            raise UserError(
                f"{token_file.directory}: {tokens} tokens in {len(part)} "
                f"documents do not fill one row of sequence_length {sequence_length}; "
                "shorten the rows or enlarge the domain (pretraining.mixture.reserved_share is of "
                "the one that stands beside it)"
            )
        self._file, self._seed = token_file, seed
        self._start_id, self._end_id = start_id, end_id
        self._epoch = -1
        self._order = self._bounds = np.empty(0, np.int64)

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Return ``input_ids``, ``labels`` and ``position_ids``: int64, (sequence_length,).

        ``index`` counts on through the epochs: row 0 of epoch e is e * ``rows_per_epoch``.
        """
        if index < 0:
            raise IndexError(f"row {index}")
        epoch, row = divmod(index, self.rows_per_epoch)
        self._prepare(epoch)
        slot = row * self.sequence_length
        place = int(np.searchsorted(self._bounds, slot, side="right")) - 1
        inputs, labels, positions = np.empty((3, self.sequence_length), np.int64)
        filled = 0
        while filled < self.sequence_length:
            first = slot + filled - self._bounds[place]
            count = min(self._bounds[place + 1] - slot, self.sequence_length) - filled
            part = slice(filled, filled + count)
            document = self._file.document(self._order[place])
            inputs[part], labels[part] = self._slots(document, first, first + count)
            positions[part] = np.arange(count)
            filled += count
            place += 1
        return {"input_ids": inputs, "labels": labels, "position_ids": positions}

    def _slots(self, document: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs and labels of the slots [first, last) of a document."""
        around = np.empty(last - first + 1, np.int64)
        inside = document[max(first - 1, 0) : last]
        begin = 0 if first else 1
        around[begin : begin + len(inside)] = inside
        if first == 0:
            around[0] = self._start_id
        if last == len(document) + 1:
            around[-1] = self._end_id
        return around[:-1], around[1:]

    def _prepare(self, epoch: int) -> None:
        """Draw the order of an epoch and the slot where each of its documents starts."""
        if epoch == self._epoch:
            return
        generator = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        self._order = generator.permutation(self._documents)
        self._bounds = np.zeros(len(self._order) + 1, np.int64)
        np.cumsum(self._file.lengths[self._order] + 1, out=self._bounds[1:])
        self._epoch = epoch
