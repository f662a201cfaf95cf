"""Sharing tokens among characters: nothing is lost, whole characters share equally."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jadapt.tokenization.attribution import character_shares, character_starts


@pytest.mark.parametrize(
    ("pieces", "amounts", "expected"),
    [
        (["カあ".encode()], [1], [0.5, 0.5]),
        (["aあ".encode()], [1], [0.5, 0.5]),
        ([b"\xe8\xaa", b"\x9e"], [1, 1], [2]),
        # A token that ends within a character has a third of it beside a whole one.
        (["あ".encode() + b"\xe8", b"\xaa\x9e"], [4, 1], [3, 2]),
        ([b"", b"a"], [7, 1], [1]),
        ([], [], []),
    ],
)
def test_shares(pieces, amounts, expected):
    assert character_shares(pieces, np.array(amounts)) == pytest.approx(expected)


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.data())
def test_any_cut_of_any_text_gives_every_token_to_characters_of_its_own(text, data):
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw)), max_size=8)) | {len(raw)})
    pieces = [raw[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]
    amounts = np.arange(1, len(pieces) + 1, dtype=float)
    shares = character_shares(pieces, amounts)
    assert len(shares) == len(text) == len(character_starts(raw))
    assert shares.sum() == pytest.approx(amounts.sum())
    assert (shares > 0).all()
