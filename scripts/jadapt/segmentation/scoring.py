"""Precision, recall and F1 of words, as the SIGHAN bakeoffs count them (Sproat and Emerson 2003).

A word is right when both its edges are. White space is no word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache

from jadapt.corpora.scripts import NAMES, script_classes
from jadapt.segmentation.base import Segmenter

ALL, MIXED, UNSEEN = "all", "mixed", "unseen"
GROUPS = (ALL, *NAMES, MIXED, UNSEEN)
"""Which words a score is of: all, those of one script, of several, or not in the training text."""


@lru_cache(maxsize=2**16)
def word_script(word: str) -> str:
    """Return the script class of a word, or ``mixed``."""
    classes = set(script_classes(word).tolist())
    return NAMES[classes.pop()] if len(classes) == 1 else MIXED


def words_of(texts: Iterable[Sequence[str]]) -> set[str]:
    """Return the different words of segmented texts."""
    return {word for words in texts for word in words if not word.isspace()}


def score(
    segmenter: Segmenter, reference: Sequence[Sequence[str]], seen: Set[str] = frozenset()
) -> Score:
    """Segment the reference's texts and count; ``seen`` are the words of the training text."""
    result = Score(seen)
    for found, words in zip(
        segmenter.segment(list(map("".join, reference))), reference, strict=True
    ):
        result.add(found, words)
    return result


class Score:
    """Counts by group; feed it with `add`, read it with `rows`."""

    def __init__(self, seen: Set[str]) -> None:
        """``seen`` are the words of the training text."""
        self._seen = seen
        self._right: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._reference: Counter[str] = Counter()

    def add(self, found: Sequence[str], reference: Sequence[str]) -> None:
        """Count one text.

        Raises:
            ValueError: the two do not join to the same text.
        """
        if "".join(found) != "".join(reference):
            raise ValueError("the segmenter changed the text")
        expected = dict(_spans(reference))
        for place, word in _spans(found):
            self._found.update(self._groups(word))
            if place in expected:
                self._right.update(self._groups(word))
        for word in expected.values():
            self._reference.update(self._groups(word))

    def _groups(self, word: str) -> tuple[str, ...]:
        own = (ALL, word_script(word))
        return own if word in self._seen else (*own, UNSEEN)

    def f1(self) -> float:
        """Return F1 over all words, from 0 to 1."""
        total = self._found[ALL] + self._reference[ALL]
        return 2 * self._right[ALL] / total if total else 1.0

    def rows(self) -> Iterator[dict]:
        """Yield ``group``, ``metric``, ``value`` (0 to 1) and ``n``, the words that it divides by.

        Groups without words have no row. Words not seen in training have a recall alone: which
        wrong words a segmenter makes up says nothing about them.
        """
        for group in GROUPS:
            right, found, reference = (
                counter[group] for counter in (self._right, self._found, self._reference)
            )
            if group != UNSEEN and found:
                yield {"group": group, "metric": "precision", "value": right / found, "n": found}
            if reference:
                yield {
                    "group": group, "metric": "recall", "value": right / reference, "n": reference
                }  # fmt: skip
            if group != UNSEEN and found + reference:
                value = 2 * right / (found + reference)
                yield {"group": group, "metric": "f1", "value": value, "n": reference}


def _spans(words: Sequence[str]) -> Iterator[tuple[tuple[int, int], str]]:
    begin = 0
    for word in words:
        end = begin + len(word)
        if not word.isspace():
            yield (begin, end), word
        begin = end
