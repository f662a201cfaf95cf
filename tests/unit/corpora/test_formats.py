"""Formats of one record a line or entry: TSV, JSON Lines, plain text and PO."""

import textwrap

import pytest

from extracting import extract
from jadapt.core.errors import UserError
from jadapt.corpora.documents import Reading

TSV = {"width": 3, "columns": {"ja": 1, "en": 2}, "missing": "-"}


def test_tsv_reads_columns_and_counts_what_is_missing():
    table = '1\t"猫\tA "cat".\n2\t犬\t-\n\n3\t-\tA bird.\n'
    pairs, reading, _ = extract("tsv", {"t.tsv": table}, TSV)
    assert pairs == [('"猫', 'A "cat".'), ("犬", None)]
    assert reading.records == 3
    assert reading.counts == {"no_ja": 1}


def test_tsv_notes_broken_lines_by_place():
    table = "1\t猫\tcat\n2\t犬\n".encode() + b"3\t\xff\xfe\tbird\n" + "4\t魚\tfish\n".encode()
    pairs, reading, _ = extract("tsv", {"t.tsv": table}, TSV)
    assert pairs == [("猫", "cat"), ("魚", "fish")]
    assert reading.broken == [
        ("t.tsv", 2, "2 columns, expected 3"),
        ("t.tsv", 3, "not valid utf-8 (byte 0xff at column 3)"),
    ]
    assert reading.records == 4


def test_too_many_broken_records_are_fatal_and_few_are_not():
    reading = Reading("source", "ja", records=1000)
    reading.broken = [("t.tsv", 7, "2 columns, expected 3")] * 10
    reading.check(0.01)
    reading.broken.append(("t.tsv", 9, "other"))
    with pytest.raises(UserError, match=r"source source: 11 of 1000 .*t\.tsv:7: 2 columns"):
        reading.check(0.01)


def test_jsonl_takes_texts_and_notes_broken_lines():
    lines = (
        '\ufeff{"ja": "猫", "en": "cat", "id": 7}\n\n{"text": "犬"}\n{"ja": 1}\n[1]\n'
        '{"en": "only"}\n{"ja": "\\ud800"}\nno\n'
    )
    pairs, reading, documents = extract("jsonl", {"own.jsonl": lines})
    assert pairs == [("猫", "cat"), ("犬", None)]
    assert documents[0].key == "7"
    assert [(line, reason) for _, line, reason in reading.broken] == [
        (4, "'ja' is not a string"),
        (5, "not a JSON object"),
        (6, "neither 'ja' nor 'text'"),
        (7, "'ja' has half a surrogate pair"),
        (8, "not valid JSON (Expecting value)"),
    ]
    assert reading.records == 7


def test_txt_is_one_document_a_line_in_the_language_of_the_domain():
    pairs, reading, _ = extract("txt", {"own.txt": b"one\r\n\r\n\xff\ntwo"}, language="en")
    assert pairs == [(None, "one"), (None, "two")]
    assert [place[1] for place in reading.broken] == [3]


CATALOGUE = """\
    msgid ""
    msgstr "Content-Type: text/plain; charset=UTF-8\\n"

    msgid "See the `guide <https://example.org>`_ and use ``nova``::"
    msgstr "`ガイド <https://example.org>`_ を見て ``nova`` を使います::"

    msgid "One <strong>file</strong>"
    msgid_plural "%(count)s <strong>files</strong> at <PATH>"
    msgstr[0] "<PATH> に %(count)s 個の<strong>ファイル</strong>"

    #, fuzzy
    msgid "Fuzzy"
    msgstr "あいまい"

    msgid "Untranslated"
    msgstr ""

    msgid "Same"
    msgstr "Same"

    msgid "Hello %(name)s"
    msgstr "こんにちは %(nmae)s"

    msgid "Hello {name} %s"
    msgstr "%s こんにちは {name}"

    #~ msgid "Old"
    #~ msgstr "古い"
    """


def test_po_pairs_translations_and_counts_the_rest():
    pairs, reading, _ = extract("po", {"ja.po": CATALOGUE})
    assert pairs == [
        ("ガイド を見て nova を使います:", "See the guide and use nova:"),
        ("<PATH> に %(count)s 個のファイル", "%(count)s files at <PATH>"),
        ("%s こんにちは {name}", "Hello {name} %s"),
    ]
    assert reading.records == 8
    assert reading.counts == {
        "fuzzy": 1,
        "untranslated": 1,
        "identical": 1,
        "placeholders": 1,
        "obsolete": 1,
    }


@pytest.mark.parametrize("bad", ["msgstr no quotes", 'msgstr "open', "nonsense", 'msgstr "x"y"'])
def test_a_broken_po_entry_does_not_take_the_others_along(bad):
    entries = f'\nmsgid "Bad"\n{bad}\n\nmsgid "A"\nmsgstr "あ"\n'
    catalogue = textwrap.dedent(CATALOGUE) + entries
    pairs, reading, _ = extract("po", {"ja.po": catalogue})
    assert len(pairs) == 4
    assert pairs[-1] == ("あ", "A")
    [(file, line, reason)] = reading.broken
    assert catalogue.splitlines()[line - 1] == bad
    assert file == "ja.po"
    assert "syntax error" in reason


def test_a_po_entry_that_is_not_utf8_is_left_out():
    catalogue = b'msgid "A"\nmsgstr "\xff\xfe"\n\nmsgid "B"\nmsgstr "\xe3\x81\x82"\n'
    pairs, reading, _ = extract("po", {"ja.po": catalogue})
    assert pairs == [("あ", "B")]
    assert reading.broken[0][:2] == ("ja.po", 2)
