import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jadapt.corpora.scripts import NAMES, script_classes, script_counts, script_of


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


# Blocks of the Unicode standard in which Japanese is written, by their first and last code point.
BLOCKS = {
    "CJK Radicals Supplement": (0x2E80, 0x2EFF),
    "Kangxi Radicals": (0x2F00, 0x2FDF),
    "CJK Symbols and Punctuation": (0x3000, 0x303F),
    "Hiragana": (0x3040, 0x309F),
    "Katakana": (0x30A0, 0x30FF),
    "Katakana Phonetic Extensions": (0x31F0, 0x31FF),
    "Enclosed CJK Letters and Months": (0x3200, 0x32FF),
    "CJK Compatibility": (0x3300, 0x33FF),
    "CJK Unified Ideographs Extension A": (0x3400, 0x4DBF),
    "CJK Unified Ideographs": (0x4E00, 0x9FFF),
    "CJK Compatibility Ideographs": (0xF900, 0xFAFF),
    "Halfwidth and Fullwidth Forms": (0xFF00, 0xFFEF),
    "Kana Extended-B": (0x1AFF0, 0x1AFFF),
    "Kana Supplement": (0x1B000, 0x1B0FF),
    "Kana Extended-A": (0x1B100, 0x1B12F),
    "Small Kana Extension": (0x1B130, 0x1B16F),
    "Enclosed Ideographic Supplement": (0x1F200, 0x1F2FF),
    "Supplementary Ideographic Plane": (0x20000, 0x2FFFF),
    "Tertiary Ideographic Plane": (0x30000, 0x3FFFF),
}
# By the names of characters, a source independent of the property that the classes are made from.
# The first that fits decides; the exceptions are characters that both kana or no letters share.
BY_NAME = (
    ("COMBINING KATAKANA-HIRAGANA", "other"),
    ("KATAKANA-HIRAGANA VOICED", "other"),
    ("KATAKANA-HIRAGANA SEMI-VOICED", "other"),
    ("KATAKANA-HIRAGANA DOUBLE HYPHEN", "other"),
    ("KATAKANA-HIRAGANA PROLONGED SOUND MARK", "katakana"),
    ("HALFWIDTH KATAKANA-HIRAGANA PROLONGED SOUND MARK", "katakana"),
    ("KATAKANA MIDDLE DOT", "other"),
    ("HALFWIDTH KATAKANA MIDDLE DOT", "other"),
    ("VERTICAL KANA REPEAT", "hiragana"),
    ("HENTAIGANA LETTER", "hiragana"),
    ("HIRAGANA", "hiragana"),
    ("SQUARE HIRAGANA", "hiragana"),
    ("HALFWIDTH KATAKANA", "katakana"),
    ("KATAKANA", "katakana"),
    ("CIRCLED KATAKANA", "katakana"),
    ("IDEOGRAPHIC ITERATION MARK", "kanji"),
    ("VERTICAL IDEOGRAPHIC ITERATION MARK", "kanji"),
    ("IDEOGRAPHIC CLOSING MARK", "kanji"),
    ("IDEOGRAPHIC NUMBER ZERO", "kanji"),
    ("CJK UNIFIED IDEOGRAPH", "kanji"),
    ("CJK COMPATIBILITY IDEOGRAPH", "kanji"),
    ("CJK RADICAL", "kanji"),
    ("KANGXI RADICAL", "kanji"),
    ("HANGZHOU NUMERAL", "kanji"),
    ("FULLWIDTH LATIN", "latin"),
    ("FULLWIDTH DIGIT", "digit"),
)


def named_class(character):
    """Return the class that the character's name tells, or None where the name leaves it open."""
    name = unicodedata.name(character, "")
    return next((found for start, found in BY_NAME if name.startswith(start)), None)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_character_of_a_block_has_the_class_of_its_name(block):
    first, last = BLOCKS[block]
    found = {
        chr(code): named_class(chr(code))
        for code in range(first, last + 1)
        if unicodedata.category(chr(code)) != "Cn"
    }
    named = {character: expected for character, expected in found.items() if expected}
    wrong = {c: script_of(c) for c, expected in named.items() if script_of(c) != expected}
    assert wrong == {}
    # A name that tells nothing is a symbol, unless its compatibility form is of one script.
    for character in found.keys() - named.keys():
        forms = {script_of(c) for c in unicodedata.normalize("NFKC", character)}
        assert script_of(character) in forms | {"other"}, unicodedata.name(character)
    assert found, block


def test_blocks_of_letters_hold_letters():
    """So that the test above cannot pass on names that tell nothing."""
    for block, share in (
        ("Hiragana", 0.9),
        ("Katakana", 0.9),
        ("CJK Unified Ideographs", 1),
        ("CJK Unified Ideographs Extension A", 1),
        ("CJK Compatibility Ideographs", 1),
        ("Supplementary Ideographic Plane", 1),
        ("Kana Supplement", 1),
    ):
        first, last = BLOCKS[block]
        assigned = [c for c in map(chr, range(first, last + 1)) if unicodedata.category(c) != "Cn"]
        assert sum(named_class(c) not in (None, "other") for c in assigned) >= share * len(assigned)
