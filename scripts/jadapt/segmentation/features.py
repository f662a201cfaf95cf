"""Characters as numbers: what the BiLSTM-CRF reads, and the tags that it writes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jadapt.corpora.scripts import NAMES, script_classes

PADDING, UNKNOWN = 0, 1
"""Numbers of no character and of one that training did not see; the known ones follow."""

TAGS = ("B", "M", "E", "S")
"""First, middle and last character of a word; a word of one character."""
STARTS = np.array([True, False, False, True])
"""Which tags begin a word."""

TYPES = ("padding", "space", *NAMES)
"""Character types: the script classes, and white space, which is never part of a word."""

_SPACES = np.array(sorted(c for c in range(0x3001) if chr(c).isspace()), dtype=np.uint32)


_DIGIT, _UPPER, _LOWER = (ord(char) for char in "0Aa")


def _wide_forms() -> np.ndarray:
    """Return what stands for each of U+FF00 … U+FFEF: the letter or kana without its width."""
    forms = [unicodedata.normalize("NFKC", chr(point)) for point in range(0xFF00, 0xFFF0)]
    return np.array(
        [ord(form) if len(form) == 1 else 0xFF00 + place for place, form in enumerate(forms)],
        dtype=np.uint32,
    )


_WIDE = _wide_forms()


def fold(text: str) -> np.ndarray:
    """Return the code points of a text with those made one that no word is told apart by.

    These are all digits, all capital and all other Latin letters, and forms that differ in width:
    ten digits by themselves would be too rare in training to know that a counter follows each.
    """
    points, classes = code_points(text).copy(), script_classes(text)
    wide = (points >= 0xFF00) & (points < 0xFFF0)
    points[wide] = _WIDE[points[wide] - 0xFF00]
    latin = classes == NAMES.index("latin")
    capital = (points >= ord("A")) & (points <= ord("Z"))
    points[latin] = np.where(capital[latin], _UPPER, _LOWER)
    points[classes == NAMES.index("digit")] = _DIGIT
    return points


def code_points(text: str) -> np.ndarray:
    """Return the code points of a text, uint32, shape (len(text),); surrogates are allowed."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def is_space(points: np.ndarray) -> np.ndarray:
    """Return which code points are white space as `str.isspace` defines it."""
    return np.isin(points, _SPACES)


def tags(words: Sequence[str]) -> np.ndarray:
    """Return the tag number of every character of the words, uint8."""
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    ends = np.cumsum(lengths)
    result = np.full(int(lengths.sum()), TAGS.index("M"), dtype=np.uint8)
    result[ends - lengths] = TAGS.index("B")
    result[ends - 1] = TAGS.index("E")
    result[ends[lengths == 1] - 1] = TAGS.index("S")
    return result


@dataclass(frozen=True)
class Features:
    """The numbers of every character of a text, each int32 of shape (len(text),)."""

    characters: np.ndarray
    types: np.ndarray
    bigrams: np.ndarray
    """Of a character and the one after it, from the pair before the first: one entry more."""


class Vocabulary:
    """The characters and the pairs of neighbours, `fold`ed, that training saw often enough."""

    def __init__(self, characters: np.ndarray, bigrams: np.ndarray) -> None:
        """``characters``: sorted code points; ``bigrams``: sorted pairs as first << 32 | second."""
        self.characters, self.bigrams = characters, bigrams

    @classmethod
    def learn(cls, texts: Sequence[str], *, least_character: int, least_bigram: int) -> Vocabulary:
        """Keep what occurs at least so often in ``texts``."""
        points = [fold(text) for text in texts]
        characters, counts = np.unique(np.concatenate(points), return_counts=True)
        all_pairs = np.concatenate([_pairs(p) for p in points])
        pairs, pair_counts = np.unique(all_pairs, return_counts=True)
        return cls(characters[counts >= least_character], pairs[pair_counts >= least_bigram])

    def features(self, text: str) -> Features:
        """Return the numbers of a text."""
        points = fold(text)
        types = script_classes(text).astype(np.int32) + 2
        types[is_space(points)] = TYPES.index("space")
        return Features(
            _look_up(points, self.characters), types, _look_up(_pairs(points), self.bigrams)
        )


def _pairs(points: np.ndarray) -> np.ndarray:
    """Return every pair of neighbours, the edges of the text included (0 stands beyond them)."""
    wide = np.zeros(len(points) + 2, dtype=np.int64)
    wide[1:-1] = points
    return wide[:-1] << 32 | wide[1:]


def _look_up(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[places] == keys, places + UNKNOWN + 1, UNKNOWN).astype(np.int32)
