"""How much of the text that measures something is also in the text that is trained on.

Two texts are compared as they are read aloud: by folded case and without white space and
punctuation. An overlap is a run of characters that occurs in both, about as long as the 13 words by
which contamination is commonly told (Brown et al. 2020, appendix C).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import regex

from jadapt.core.errors import UserError

WIDTH = {"ja": 32, "en": 64}
"""Characters of the shortest run that counts as an overlap, by language."""

LIMIT = 0.01
"""Largest share of the characters of measured text that may lie in overlaps."""

_IGNORED = regex.compile(r"[^\p{L}\p{N}]+")
_BASE, _MODULUS = 0x9E3779B97F4A7C15, 2**64
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_BATCH = 2_000_000


class Overlap(NamedTuple):
    """What a measured domain shares with another text.

    ``shared`` are measured documents that occur whole, ``overlapping`` those with a run in common;
    ``share`` is of the measured characters, in [0, 1].
    """

    documents: int
    characters: int
    shared: int
    overlapping: int
    share: float


def comparable(text: str) -> str:
    """Return the letters and digits of ``text`` in folded case."""
    return _IGNORED.sub("", text.casefold())


def overlap(measured: Sequence[str], trained: Iterable[str], width: int) -> Overlap:
    """Return how far ``measured`` documents overlap with ``trained`` text.

    Args:
        measured: held in memory with 8 bytes a character.
        trained: read once, in batches.
        width: characters of the shortest run that counts.
    """
    texts = [comparable(text) for text in measured]
    hashes = [_hashes(text, width) for text in texts]
    wanted = np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]))
    found = np.zeros(len(wanted), bool)
    whole = {text: False for text in texts if text}
    for batch in _batches(trained):
        for text in batch:
            if text in whole:
                whole[text] = True
        met = np.concatenate([np.empty(0, np.uint64), *(_hashes(text, width) for text in batch)])
        places, known = _places(met, wanted)
        found[places[known]] = True
    covered = [_covered(found[_places(each, wanted)[0]], width) for each in hashes]
    shared = [whole.get(text, False) for text in texts]
    # A document that is shorter than a run can only be found whole.
    covered = [
        max(count, len(text) * is_shared)
        for count, text, is_shared in zip(covered, texts, shared, strict=True)
    ]
    characters = sum(map(len, texts))
    return Overlap(
        len(texts),
        characters,
        sum(shared),
        sum(count > 0 for count in covered),
        sum(covered) / max(characters, 1),
    )


def check(measured: str, trained: str, found: Overlap, limit: float = LIMIT) -> None:
    """Raise a `UserError` if measured text overlaps with trained text by more than ``limit``."""
    if found.share > limit:
        raise UserError(
            f"domain {measured}: {found.share:.2%} of its characters (in {found.overlapping} of "
            f"{found.documents} documents) are also in {trained}, which is trained on or "
            f"remembered; at most {limit:.0%} may be: measure on another domain"
        )


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in map(comparable, texts):
        batch.append(text)
        size += len(text)
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _places(hashes: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each hash is in the sorted array ``known``, and whether it is there at all."""
    if not len(known):
        return np.zeros(len(hashes), np.int64), np.zeros(len(hashes), bool)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return places, known[places] == hashes


def _hashes(text: str, width: int) -> np.ndarray:
    """Return a hash of every run of ``width`` characters: uint64, (characters - width + 1,).

    Polynomials modulo 2**64 of mixed code points. Runs are put together from runs of half the
    length, so that the work grows with the logarithm of the width.
    """
    if len(text) < width:
        return np.empty(0, np.uint64)
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64)
    runs = (codes + np.uint64(1)) * _MIX
    runs ^= runs >> np.uint64(29)
    result: np.ndarray | None = None
    length, power = 1, _BASE
    done, rest = 0, width
    while rest:
        if rest & 1:
            # The runs of `done` characters are followed by these of `length`.
            if result is None:
                result = runs
            else:
                count = len(codes) - done - length + 1
                result = result[:count] * np.uint64(power) + runs[done : done + count]
            done += length
        rest >>= 1
        if rest:
            runs = runs[: len(runs) - length] * np.uint64(power) + runs[length:]
            length, power = length * 2, power * power % _MODULUS
    if result is None:
        raise ValueError(f"runs of {width} characters")
    return result


def _covered(hit: np.ndarray, width: int) -> int:
    """Return how many characters lie in the runs that begin where ``hit`` is true."""
    starts = np.flatnonzero(hit)
    if not len(starts):
        return 0
    return int(np.minimum(np.diff(starts), width).sum()) + width
