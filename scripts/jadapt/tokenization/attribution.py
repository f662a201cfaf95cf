"""What tokens have to do with characters: how much of each token belongs to which character.

Tokens may spell several characters, one, or a part of one. A token is divided among the characters
that it has bytes of, a byte of an n-byte character counting 1/n: whole characters share it equally,
and a byte token belongs to its character alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def character_starts(text: bytes) -> np.ndarray:
    """Return the index of the first byte of every character of a UTF-8 text, int64."""
    raw = np.frombuffer(text, dtype=np.uint8)
    # Every byte that is not 10xxxxxx begins a character.
    return np.flatnonzero((raw & 0xC0) != 0x80)


def character_shares(pieces: Sequence[bytes], amounts: np.ndarray) -> np.ndarray:
    """Divide an amount a token among the characters of a text.

    Args:
        pieces: the bytes of each token; joined, they are valid UTF-8.
        amounts: what is divided, shape (len(pieces),): surprises, or ones to count tokens.

    Returns:
        The amount of each character, float64, shape (characters,). The sums agree, except for
        tokens without bytes, which belong to no character.
    """
    text = b"".join(pieces)
    starts = character_starts(text)
    if not len(starts):
        return np.zeros(0)
    lengths = np.diff(starts, append=len(text))
    weights = np.repeat(1 / lengths, lengths)
    sizes = np.fromiter(map(len, pieces), np.int64, count=len(pieces))
    token_of = np.repeat(np.arange(len(pieces)), sizes)
    whole = np.bincount(token_of, weights, minlength=len(pieces))
    shares = weights * (np.asarray(amounts, float) / np.where(whole > 0, whole, 1))[token_of]
    return np.add.reduceat(shares, starts)
