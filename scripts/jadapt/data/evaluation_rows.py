"""Rows for the exact likelihood of each document: whole documents, every token scored once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jadapt.data.packing import check_sequence_length
from jadapt.data.tokens import TokenFile

UNSCORED = -100
_OPEN_ROWS = 32


@dataclass(frozen=True)
class _Segment:
    """Slots that see only each other: a document, or a window of a long one."""

    document: int
    inputs: np.ndarray
    labels: np.ndarray


def evaluation_documents(token_file: TokenFile, maximum_tokens: int | None = None) -> int:
    """Return how many documents are evaluated: the longest prefix of at most so many tokens.

    Files are sorted by a hash, so a prefix is an unbiased sample. It holds at least one document
    (of a file that has any). The raw bytes and characters to divide by are those of
    ``token_file.sizes[:documents]``.
    """
    if maximum_tokens is None:
        return len(token_file)
    fitting = int(np.searchsorted(token_file.offsets, maximum_tokens, side="right")) - 1
    return min(max(fitting, 1), len(token_file))


def evaluation_rows(
    token_file: TokenFile,
    sequence_length: int,
    maximum_tokens: int | None = None,
    *,
    start_id: int,
    end_id: int | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield rows in which every token of every evaluated document is a label exactly once.

    A row has ``input_ids``, ``labels`` (-100 where nothing is scored), ``position_ids`` and
    ``document`` (index of the slot's document, -1 for padding): int64, (sequence_length,).

    A document of n tokens takes n slots, inputs ``[start, t1 … tn-1]``, labels ``[t1 … tn]``. One
    longer than a row is cut into windows of ``sequence_length``; each window after the first
    starts with the last token of the window before, as its only context, so that every token is
    scored, once. The tokens of a document come in their order; documents may overtake each other,
    because a document goes into the open row (of at most 32) that it fills best. Positions restart
    with every document, window and stretch of padding.

    The end token is not scored (bits per byte are of the text) unless ``end_id`` is given, which
    appends it to every document, as in training.
    """
    check_sequence_length(sequence_length)
    open_rows: list[_Row] = []
    for segment in _segments(token_file, sequence_length, maximum_tokens, start_id, end_id):
        fitting = (row for row in open_rows if row.room >= len(segment.inputs))
        row = min(fitting, key=lambda row: row.room, default=None)
        if row is None:
            if len(open_rows) == _OPEN_ROWS:
                fullest = min(open_rows, key=lambda row: row.room)
                open_rows.remove(fullest)
                yield fullest.arrays(start_id)
            row = _Row(sequence_length)
            open_rows.append(row)
        row.add(segment)
        if not row.room:
            open_rows.remove(row)
            yield row.arrays(start_id)
    for row in open_rows:
        yield row.arrays(start_id)


class _Row:
    """A row that is being filled; ``room`` is its number of free slots."""

    def __init__(self, sequence_length: int) -> None:
        self._length = self.room = sequence_length
        self._segments: list[_Segment] = []

    def add(self, segment: _Segment) -> None:
        self._segments.append(segment)
        self.room -= len(segment.inputs)

    def arrays(self, start_id: int) -> dict[str, np.ndarray]:
        inputs = np.full(self._length, start_id, np.int64)
        labels = np.full(self._length, UNSCORED, np.int64)
        positions = np.zeros(self._length, np.int64)
        documents = np.full(self._length, -1, np.int64)
        begin = 0
        for segment in self._segments:
            count = len(segment.inputs)
            part = slice(begin, begin + count)
            inputs[part], labels[part] = segment.inputs, segment.labels
            positions[part] = np.arange(count)
            documents[part] = segment.document
            begin += count
        positions[begin:] = np.arange(self.room)
        return {
            "input_ids": inputs,
            "labels": labels,
            "position_ids": positions,
            "document": documents,
        }


def _segments(
    token_file: TokenFile,
    sequence_length: int,
    maximum_tokens: int | None,
    start_id: int,
    end_id: int | None,
) -> Iterator[_Segment]:
    end = [] if end_id is None else [end_id]
    for index in range(evaluation_documents(token_file, maximum_tokens)):
        slots = np.concatenate([[start_id], token_file.document(index), end]).astype(np.int64)
        for begin in range(0, len(slots) - 1, sequence_length):
            window = slots[begin : begin + sequence_length + 1]
            yield _Segment(index, window[:-1], window[1:])
