"""Marks that stand by themselves through the cleaning, where NFKC would set them on a space."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jadapt.corpora.cleaning import clean_text
from jadapt.corpora.spacing_marks import nfkc

VOICED = "がぎぐげござじずぜぞだぢづでどばびぶべぼゔゞ"
SEMIVOICED = "ぱぴぷぺぽ"
EVERY = [chr(code) for code in [*range(0xD800), *range(0xE000, 0x110000)]]
SPACING = {"ﾞ", "ﾟ"} | {
    char
    for char in EVERY
    if len(form := unicodedata.normalize("NFKC", char)) > 1 and form[0] == " "
}


@pytest.mark.parametrize("kana", [*VOICED, *SEMIVOICED, *"ガヴヷヸヹヺヾパポ"])
@pytest.mark.parametrize("between", ["", "\u200b"])
def test_a_kana_takes_the_voicing_mark_behind_it(kana, between):
    base, mark = unicodedata.normalize("NFD", kana)
    spacing = {"\u3099": "゛ﾞ", "\u309a": "゜ﾟ"}[mark]
    for typed in spacing:
        assert clean_text(f"あ{base}{between}{typed}い").text == f"あ{kana}い"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        *(("70゜F", "70゜F"), ("70ﾟF", "70゜F"), ("あ゛", "あ゛"), ("ンﾞ", "ン゛"), ("゛", "゛")),
        *(
            ("か゛゛", "が゛"),
            ("は゛゜", "ば゜"),
            ("か ゛", "か ゛"),
            ("漢゛", "漢゛"),
            ("a゛", "a゛"),
        ),
        *(
            ("´", "´"),
            ("a´b", "a´b"),
            ("¨", "¨"),
            ("‾", "‾"),
            ("￣", "￣"),
            ("（￣ー￣）", "(￣ー￣)"),
        ),
        *(("¯\\_(ツ)_/¯", "¯\\_(ツ)_/¯"), ("¸", "¸"), ("˚C", "˚C"), ("˜", "˜"), ("﹉", "﹉")),
        *(("΄Α", "΄Α"), ("ﹷ", "\u0640\u064e"), ("ﹶ", "ﹶ"), ("ﱞ", "ﱞ"), ("´\u0301", "´\u0301")),
        *(("ｶﾞｷﾞ", "ガギ"), ("㋕゛", "ガ"), ("ｶ゛", "ガ"), ("か\u3099", "が"), ("e\u0301", "é")),
        *(("①㌔ﷺ", "1キロﷺ".replace("ﷺ", unicodedata.normalize("NFKC", "ﷺ"))), ("´①", "´1")),
    ],
)
def test_marks_that_nothing_takes_stay(typed, text):
    cleaned = clean_text(typed).text
    assert cleaned == text
    assert clean_text(cleaned).text == cleaned


def test_no_mark_is_set_on_a_space():
    for char in EVERY:
        text = nfkc(char)
        assert not (text[0] == " " and len(text) > 1), hex(ord(char))


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("かはウ゛゜ﾞﾟ´¨￣\u3099")))
def test_it_is_nfkc_but_for_the_marks_and_settles_at_once(text):
    once = nfkc(text)
    assert nfkc(once) == once
    if not SPACING & set(text):
        assert once == unicodedata.normalize("NFKC", text)
