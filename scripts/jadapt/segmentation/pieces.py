"""Positions in a text: where a long one may be cut, and words put back where they stood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jadapt.corpora.scripts import script_classes

# From the best place to cut to the worst: after a line, after a sentence, after a clause or space.
_BREAKS = ("\n\r", "。！？!?", "、，」』）", " \u3000\t")


@dataclass(frozen=True)
class Span:
    """A part ``text[begin:end]``; an edge is safe where no word can go across it."""

    begin: int
    end: int
    safe_begin: bool = True
    safe_end: bool = True


def spans(text: str, limit: int) -> Iterator[Span]:
    """Cut a text into parts of at most ``limit`` characters, at safe places where there are any.

    Lines end first, then sentences, then clauses; next best is a change of script. Only a run of
    one script without any of these is cut blindly.
    """
    begin, safe_begin = 0, True
    while len(text) - begin > limit:
        end, safe_end = _cut(text, begin, begin + limit)
        yield Span(begin, end, safe_begin, safe_end)
        begin, safe_begin = end, safe_end
    if begin < len(text):
        yield Span(begin, len(text), safe_begin, True)


def _cut(text: str, begin: int, end: int) -> tuple[int, bool]:
    for marks in _BREAKS:
        last = max(text.rfind(mark, begin, end) for mark in marks)
        if last >= begin:
            return last + 1, True
    classes = script_classes(text[begin:end])
    changes = np.flatnonzero(classes[1:] != classes[:-1])
    return (begin + int(changes[-1]) + 1, False) if len(changes) else (end, False)


def restore(text: str, words: Sequence[str]) -> list[str]:
    """Return ``words`` with what an analyser dropped between them, as pieces of their own.

    ``words`` must occur in ``text`` in this order; only characters that start no word are dropped
    (MeCab: white space), so the first place where a word is found is where it stood.
    """
    pieces, position = [], 0
    for word in words:
        begin = text.find(word, position)
        if begin < 0:
            raise ValueError(f"the word {word!r} is not in the rest of the text")
        if begin > position:
            pieces.append(text[position:begin])
        pieces.append(word)
        position = begin + len(word)
    if position < len(text):
        pieces.append(text[position:])
    return pieces


def from_starts(text: str, starts: np.ndarray) -> list[str]:
    """Return the pieces of ``text`` that begin where ``starts`` (bool, shape (len(text),)) says.

    The first character always begins one.
    """
    if not text:
        return []
    edges = np.flatnonzero(starts[1:]) + 1
    bounds = [0, *edges.tolist(), len(text)]
    return [text[begin:end] for begin, end in pairwise(bounds)]
