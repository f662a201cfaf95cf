import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jadapt.text.scripts import NAMES, script_classes, script_counts, script_of


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        ("あんゝゞゟ", "hiragana"),
        ("アンヶヽヾーｱﾝｰﾞﾟㇰ", "katakana"),
        ("漢々〆〇﨑𠮷\u2f00", "kanji"),
        ("aZéＡœ", "latin"),
        ("09０９٣", "digit"),
        ("、。・「゛゜ \n!～я한😀\u3099\ud800", "other"),
    ],
)
def test_class_of_characters(characters, name):
    assert {character: script_of(character) for character in characters} == dict.fromkeys(
        characters, name
    )


def test_only_single_characters_have_a_class():
    with pytest.raises(ValueError, match="one character, got 2"):
        script_of("ab")


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_the_three_functions_agree(text):
    classes = script_classes(text)
    assert classes.dtype == np.uint8
    assert [NAMES[number] for number in classes] == [script_of(char) for char in text]
    counts = script_counts(text)
    assert tuple(counts) == NAMES
    assert sum(counts.values()) == len(text)


@pytest.mark.parametrize("first", [0x3041, 0xFF66, 0xF900])
def test_normalising_keeps_the_class_of_letters(first):
    for code in range(first, first + 0x30):
        before, after = chr(code), unicodedata.normalize("NFKC", chr(code))
        if unicodedata.category(before) == "Lo" and len(after) == 1:
            assert script_of(before) == script_of(after)
