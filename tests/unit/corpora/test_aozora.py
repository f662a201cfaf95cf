"""The markup of Aozora Bunko: characters written as notes, accents, and what is neither."""

import pytest

from extracting import extract
from jadapt.corpora.formats.aozora_accents import LETTERS, composed

RULE = "-" * 30


def read(*lines):
    """Return the paragraphs of a work with these lines, and the reading."""
    data = "\r\n".join(["題", RULE, "記号", RULE, *lines]).encode("shift_jis")
    pairs, reading, _ = extract("aozora", {"1_a.txt": data})
    return [ja for ja, _ in pairs], reading


def note(description, code):
    return f"※［＃{description}、{code}］"


MARKS = {
    "《": note("始め二重山括弧", "1-1-52"),
    "》": note("終わり二重山括弧", "1-1-53"),
    "｜": note("縦線", "1-1-35"),
    "［": note("始め角括弧", "1-1-46"),
    "］": note("終わり角括弧", "1-1-47"),
    "＃": note("井げた", "1-1-84"),
    "※": note("米印", "1-2-8"),
    "〔": note("始めきっこう括弧", "1-1-44"),
    "〕": note("終わりきっこう括弧", "1-1-45"),
    "／": note("斜線", "1-1-31"),
    "＼": note("逆斜線", "1-1-32"),
}


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_written_as_a_note_is_a_character(mark):
    written = MARKS[mark]
    texts, reading = read(f"月の光{written}と{written}影《かげ》［＃傍点］{written}")
    assert texts == [f"月の光{mark}と{mark}影{mark}"]
    assert reading.counts == {}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{《}月の光{》}", "《月の光》"),
        ("{［}{＃}本当{］}", "［＃本当］"),
        ("{※}{［}{＃}「口＋云」、1-1-52{］}", "※［＃「口＋云」、1-1-52］"),
        ("{〔}cafe'{〕}", "〔cafe'〕"),
        ("｜{《}重{》}《じゅう》の", "《重》の"),
        ("重《{《}じゅう{》}》の", "重の"),
        ("重［＃「{《}」に傍点］の", "重の"),
        ("{／}{＼}", "／＼"),
    ],
)
def test_marks_written_as_notes_make_no_markup(line, text):
    assert read(line.format_map(MARKS))[0] == [text]


@pytest.mark.parametrize(
    "code",
    [
        *("U+110000", "U+FFFFFF", "U+D800", "U+DFFF", "U+FFFF", "U+1FFFE", "U+FDD0", "U+0000"),
        *("U+0085", "U+1234567", "1-0-0", "1-99-99", "1-95-1", "1-94-95", "2-2-1", "2-99-99"),
        *("1-1-0", "123-4", "読めない", "U+", "U+12"),
    ],
)
def test_a_note_without_a_possible_character_is_counted(code):
    texts, reading = read(f"前{note('何か', code)}後")
    assert texts == ["前〓後"]
    assert reading.counts == {"unnamed_characters": 1}


@pytest.mark.parametrize(
    ("code", "character"),
    [
        ("U+52FB", "勻"),
        ("U+20B9F", "\U00020b9f"),
        ("U+10FFFD", "\U0010fffd"),
        ("第3水準1-4-87", "か゚"),
        ("第4水準2-1-1", "\U00020089"),
        ("U+110000、1-1-52", "《"),
        ("U+E000", "\ue000"),
    ],
)
def test_a_note_with_a_code_is_its_character(code, character):
    texts, reading = read(f"前{note('何か', code)}後")
    assert texts == [f"前{character}後"]
    assert reading.counts == {}


def test_only_characters_that_are_read_are_counted_as_unnamed():
    texts, reading = read(
        f"〓字{note('x', '読')}《{note('y', '読')}》［＃「{note('z', '読')}」は太字］"
    )
    assert texts == ["〓字〓"]
    assert reading.counts == {"unnamed_characters": 1}


@pytest.mark.parametrize(
    "line", ["※［＃閉じない", "《閉じない", "［＃閉じない", "閉じる》", "※", "〔e'"]
)
def test_markup_that_does_not_close_stays_as_typed(line):
    assert read(line)[0] == [line]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("〔cafe'〕", "café"),
        ("〔te^te-a`-te^te〕", "tête-à-tête"),
        ("〔Besanc,on〕", "Besançon"),
        ("〔geku:sst und geliebt,〕", "geküsst und geliebt,"),
        ("〔Noe:l ! n'allez pas〕", "Noël ! n'allez pas"),
        ("〔L'Atomisme d'E'picure〕", "L'Atomisme d'Épicure"),
        ("〔d'oe&il, AE&sop, ae&ons, OE&uvre〕", "d'œil, Æsop, æons, Œuvre"),
        ("〔stras&e, O/re, o/re〕", "straße, Øre, øre"),
        ("〔man~ana, !@Hola! ?@Que'?〕", "mañana, ¡Hola! ¿Qué?"),
        ("〔A&ngstro:m, To^kyo^, To_kyo_〕", "Ångström, Tôkyô, Tōkyō"),
        ("〔y: y' Y'〕", "ÿ ý Ý"),
        ("op〔e`〕re", "opère"),
        ("〔c, d'〕", "〔c, d'〕"),
        ("〔Bodhi〕", "〔Bodhi〕"),
        ("〔banal 陳腐な〕", "〔banal 陳腐な〕"),
        ("〔〕", "〔〕"),
        ("e' の外", "e' の外"),
        ("〔〔e'〕〕", "〔é〕"),
    ],
)
def test_accents_in_brackets_become_letters(typed, text):
    assert composed(typed) == text


def test_every_accent_is_one_letter():
    assert all(len(letter) == 1 and not letter.isascii() for letter in LETTERS.values())
    assert len(set(LETTERS.values())) == len(LETTERS) == 92


def test_ruby_within_accents_is_left_out():
    assert read("〔ve'rite'《ヴェリテ》 vraie《ヴレイ》.〕と〔｜Vis-a`-vis《ウィザ》〕")[0] == [
        "vérité vraie.とVis-à-vis"
    ]
