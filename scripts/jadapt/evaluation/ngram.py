"""Interpolated Witten-Bell n-gram models, over characters or over any other symbols.

For a context h of n - 1 symbols, with N(h) symbols seen after it, T(h) of them different,

    P(c | h) = (count(h c) + T(h) P(c | h')) / (N(h) + T(h)),

where h' is h without its first symbol (Witten and Bell 1991, in the interpolated form of Chen and
Goodman 1999). A context that was never seen leaves the matter to h'. Below the single symbols lies
the uniform distribution over the whole alphabet, so that symbols that were never seen have their
share too and the probabilities of the alphabet sum to 1 after every context. A document ends with a
symbol of its own, which takes a share of the probability wherever a document might end.

Counts are sorted arrays: the number of an n-gram is its place among the n-grams of its length, its
key is (number of its first n - 1 symbols, last symbol). Neither module nor result needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

CHARACTERS = 0x110000 - 0x800
"""Size of the alphabet of all characters: every code point but the halves of surrogate pairs."""


def code_points(text: str) -> np.ndarray:
    """Return the code points of ``text``: uint32, (characters,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def bits_per_byte(nats: float, size: int) -> float:
    """Return a surprise in nats as bits for each of ``size`` bytes."""
    return nats / math.log(2) / size


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length, and what followed the contexts that are one shorter."""

    keys: np.ndarray
    counts: np.ndarray
    followers: np.ndarray
    kinds: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return the numbers of the n-grams with these keys, -1 for one that was never seen."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


class NGram:
    """A model of the order ``order``, fitted to documents of whole numbers.

    Args:
        documents: the symbols of each: integers from 0, of any type, (symbols,).
        order: symbols of the longest n-gram; 1 is a unigram.
        alphabet: how many different symbols there may be, without the end of a document.

    Raises:
        ValueError: the order is below 1, there is no document, or a symbol is not in the alphabet.
    """

    def __init__(self, documents: Iterable[np.ndarray], order: int, alphabet: int) -> None:
        documents = list(documents)
        if order < 1 or not documents:
            raise ValueError(f"order {order} and {len(documents)} documents: expected 1 or more")
        self.order, self.alphabet = order, alphabet
        self._known = np.unique(np.concatenate(documents)).astype(np.int64)
        if len(self._known) and not 0 <= self._known[0] <= self._known[-1] < alphabet:
            raise ValueError(f"a symbol is not in the alphabet of {alphabet}")
        # Beside the known symbols: any other one, and the end and the start of a document.
        self._other, self._end, self._start = range(len(self._known), len(self._known) + 3)
        symbols, places = self._stream(documents)
        self._levels = list(self._count(symbols, places))

    def nats(self, documents: Iterable[np.ndarray], order: int | None = None) -> list[np.ndarray]:
        """Return -log P of each symbol of each document after those before it.

        The ends of documents are not among them, as bits per byte are of the text.

        Args:
            documents: one or more, each (symbols,).
            order: use n-grams up to this length only, as a model of that order does.

        Returns:
            For each document float64, (symbols,).
        """
        documents = list(documents)
        symbols, places = self._stream(documents)
        scored = (places > 0) & (symbols != self._end)
        nats = -np.log(self._probabilities(symbols, places, order)[scored])
        return np.split(nats, np.cumsum([len(document) for document in documents])[:-1])

    def distribution(self, context: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Return what may follow a beginning of a document.

        Returns:
            The probabilities of the known symbols in ascending order, that of any single other
            symbol of the alphabet, and that of the end.
        """
        context = np.asarray(context, np.int64)
        known = [self._next(context, number) for number in range(len(self._known))]
        return np.array(known), self._next(context, self._other), self._next(context, self._end)

    def _next(self, context: np.ndarray, symbol: int) -> float:
        symbols = np.concatenate([[self._start], self._encode(context), [symbol]])
        return float(self._probabilities(symbols, np.arange(len(symbols)))[-1])

    def _encode(self, document: np.ndarray) -> np.ndarray:
        """Return the numbers of symbols: their places among the known ones, or that of others."""
        if not len(self._known):
            return np.full(len(document), self._other)
        places = np.minimum(np.searchsorted(self._known, document), len(self._known) - 1)
        return np.where(self._known[places] == document, places, self._other)

    def _stream(self, documents: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return all documents in a row, each between start and end, and the places in them."""
        lengths = np.array([len(document) + 2 for document in documents])
        ends = np.cumsum(lengths)
        symbols = np.full(ends[-1], self._start)
        places = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        inner = (places > 0) & (places < np.repeat(lengths - 1, lengths))
        symbols[inner] = self._encode(np.concatenate(documents))
        symbols[ends - 1] = self._end
        return symbols, places

    def _keys(self, contexts: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        return contexts * (self._start + 1) + symbols

    def _count(self, symbols: np.ndarray, places: np.ndarray) -> Iterable[_Level]:
        """Yield the levels, from single symbols up; ``numbers`` are of the n-grams that end here.

        No n-gram reaches back beyond the start of its document, and no start is an outcome.
        """
        numbers, contexts = np.zeros(len(symbols), np.int64), 1
        for length in range(1, self.order + 1):
            whole = places >= length - 1
            if not whole.any():
                return
            before = np.concatenate([[0], numbers[:-1]]) if length > 1 else numbers
            keys, inverse, counts = np.unique(
                self._keys(before[whole], symbols[whole]), return_inverse=True, return_counts=True
            )
            first, last = np.divmod(keys, self._start + 1)
            counts[last == self._start] = 0
            yield _Level(
                keys,
                counts,
                np.bincount(first, counts, minlength=contexts),
                np.bincount(first, counts > 0, minlength=contexts),
            )
            numbers = np.zeros(len(symbols), np.int64)
            numbers[whole] = inverse
            contexts = len(keys)

    def _probabilities(
        self, symbols: np.ndarray, places: np.ndarray, order: int | None = None
    ) -> np.ndarray:
        """Return the probability of every symbol of a stream after those before it."""
        found = np.full(len(symbols), 1 / (self.alphabet + 1))
        numbers = np.zeros(len(symbols), np.int64)
        for length, level in enumerate(self._levels[:order], 1):
            before = np.concatenate([[-1], numbers[:-1]]) if length > 1 else numbers
            usable = (before >= 0) & (places >= length - 1)
            context = np.where(usable, before, 0)
            places_found = level.find(self._keys(context, symbols))
            numbers = np.where(usable, places_found, -1)
            count = np.where(numbers >= 0, level.counts[numbers], 0)
            followers, kinds = level.followers[context], level.kinds[context]
            seen = usable & (followers > 0)
            total = np.where(seen, followers + kinds, 1)
            found = np.where(seen, (count + kinds * found) / total, found)
        return found
