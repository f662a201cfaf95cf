"""Catalogues as they come: other charsets, other separators, entries that are cut or broken."""

import pytest

from extracting import extract
from jadapt.core.errors import UserError

HEADER = 'msgid ""\nmsgstr ""\n"Project: x\\n"\n"Content-Type: text/plain; charset={}\\n"\n\n'
GOOD = 'msgid "dog"\nmsgstr "犬"\n'


def read(text):
    data = text if isinstance(text, bytes) else text.encode()
    return extract("po", {"ja.po": data})[:2]


@pytest.mark.parametrize(
    "char",
    ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\ue000", "\0"],
)
@pytest.mark.parametrize("place", ["猫{}犬", "{}猫", "猫{}"])
def test_what_python_takes_for_a_line_end_stays_in_a_string(char, place):
    text = place.format(char)
    pairs, reading = read(f'msgid "cat{char}"\nmsgstr "{text}"\n\n{GOOD}')
    assert pairs == [(text, f"cat{char}"), ("犬", "dog")]
    assert reading.broken == []


def test_separators_stay_where_one_entry_is_broken_and_in_plurals():
    entry = 'msgid "a"\nmsgid_plural "cats\u2028"\nmsgstr[0] "猫\x85x"\n'
    pairs, reading = read(f"{entry}\nnonsense\n\n{GOOD}")
    assert pairs == [("猫\x85x", "cats\u2028"), ("犬", "dog")]
    assert len(reading.broken) == 1


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("EUC-JP", "euc_jp"),
        ("euc-jp", "euc_jp"),
        ("Shift_JIS", "shift_jis"),
        ("CP932", "cp932"),
        ("ISO-2022-JP", "iso2022_jp"),
        ("GB18030", "gb18030"),
        ("utf8", "utf-8"),
        ("CHARSET", "utf-8"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_catalogue_is_read_as_its_header_declares(declared, encoding, end):
    text = (HEADER.format(declared) + 'msgid "see"\nmsgstr "表示ソース能力"\n').replace("\n", end)
    pairs, reading = read(text.encode(encoding))
    assert pairs == [("表示ソース能力", "see")]
    assert reading.broken == []


def test_a_byte_order_mark_decides_against_the_header():
    assert read(b"\xef\xbb\xbf" + (HEADER.format("EUC-JP") + GOOD).encode())[0] == [("犬", "dog")]


@pytest.mark.parametrize(
    "name",
    ["x-unknown", "UTF-16", "utf-7", "rot13", "hex", "unicode_escape", "undefined", "idna", "é"],
)
def test_a_charset_that_cannot_be_read_is_named(name):
    with pytest.raises(UserError, match=r"source source: ja\.po: its header declares") as raised:
        read(HEADER.format(name) + GOOD)
    assert "convert the file to UTF-8" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_only_the_header_declares_a_charset():
    text = 'msgid "Content-Type: text/html; charset=nope"\nmsgstr "charset=nope の型"\n'
    assert len(read(text)[0]) == 1
    one_line = 'msgid ""\nmsgstr "X: y\\nContent-Type: text/plain; charset=EUC-JP\\n"\n\n'
    assert read((one_line + GOOD).encode("euc_jp"))[0] == [("犬", "dog")]


BROKEN = {
    "bad bytes in many lines": b'msgid "a"\nmsgstr ""\n' + b'"\xff"\n' * 9,
    "bad bytes in the message": b'msgid "a\xff"\nmsgstr "x"\n',
    "bad bytes in a context": b'msgctxt "\xff"\nmsgid "a"\nmsgstr "x"\n',
    "bad bytes in a plural": b'msgid "\xff"\nmsgid_plural "b"\nmsgstr[0] "x"\n',
    "bad bytes and a fuzzy flag": b'#, fuzzy\nmsgid "a"\nmsgstr "\xff"\n',
    "bad bytes for a quote": b'msgid "a"\nmsgstr "x\xff\n',
    "no quotes": b"msgid a\nmsgstr b\n",
    "a quote within": b'msgid "a"b"\nmsgstr "x"\n',
    "no end": b'msgid "a"\nmsgstr "x\n',
    "an odd word": b'msgid "a"\nmsgword "b"\nmsgstr "x"\n',
    "a blank line within": b'msgid "a"\n\nnonsense\n\nmsgstr "x"\n',
    "two translations": b'msgid "a"\nmsgstr "x"\nmsgstr "y"\n',
    "no message": b'msgstr "x"\n',
    "a wrong form": b'msgid "a"\nmsgid_plural "b"\nmsgstr[n] "x"\n',
    "merge marks": b'<<<<<<< HEAD\nmsgid "a"\nmsgstr "x"\n=======\nmsgstr "y"\n>>>>>>> z\n',
    "html": b"<!DOCTYPE html>\n<html>\n</html>\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("between", ["\n", "\n\n\n", "\n#: file.py:1\n"])
def test_a_broken_entry_counts_once_and_takes_no_other_along(broken, between):
    data = between.encode().join([GOOD.encode(), broken, GOOD.replace("dog", "dogs").encode()])
    pairs, reading = read(data)
    assert pairs == [("犬", "dog"), ("犬", "dogs")]
    assert (len(reading.broken), reading.records) == (1, 3)
    reading.check(0.34)


def test_entries_without_blank_lines_stand_alone():
    text = GOOD + 'msgid "a"\nmsgstr no\n' + 'msgid "cat"\nmsgstr "猫"\n# the end\n'
    pairs, reading = read(text)
    assert pairs == [("犬", "dog"), ("猫", "cat")]
    assert (len(reading.broken), reading.records) == (1, 3)


@pytest.mark.parametrize(
    "text",
    [
        f'msgid "cut"\n\n{GOOD}',
        f'msgid "cut"\n#: x.py\n{GOOD}',
        f"{GOOD}#:\n",
        f"{GOOD}#,\n",
        f'{GOOD}#~| msgid "old"\n',
        f'{GOOD}\nmsgid "cut"\n',
    ],
)
def test_no_entry_is_lost_without_a_count(text):
    pairs, reading = read(text)
    left_out = sum(reading.counts.values()) + len(reading.broken)
    assert len(pairs) + left_out == reading.records == text.count("msgid") - text.count("#~|")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<th>Name</th><th>Meaning</th>", "Name Meaning"),
        ("one<br>two<br/>three<br />four", "one two three four"),
        ("<p>one</p><p class='x'>two</p>", "one two"),
        ("<ul><li>one</li><li>two</li></ul>", "one two"),
        ("<td>一</td><td>二</td>", "一 二"),
        ("a<b>b</b><em>c</em>", "abc"),
        ("<PATH> <path>", "<PATH> <path>"),
    ],
)
def test_tags_of_a_block_part_their_neighbours(markup, text):
    [(japanese, _)], _ = read(f'msgid "x"\nmsgstr "{markup}"\n')
    assert " ".join(japanese.split()) == text
