"""Chapters in XHTML, WikiText, and the passages of BoolQ and SQuAD."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extracting import extract
from jadapt.corpora.documents import Member, Reading
from jadapt.corpora.formats import EXTRACTORS
from jadapt.corpora.formats.wikitext import joined

PAGE = """\
    <?xml version="1.0" encoding="utf-8"?>
    <html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
    <head><title>I</title><style>p {}</style></head>
    <body epub:type="bodymatter"><section epub:type="chapter">
      <hgroup><h2 epub:type="ordinal">I</h2><p epub:type="title">The Castle</p></hgroup>
      <p>She said: “<i>No,
         <abbr>Mr.</abbr> Hill</i>.”<a href="n.xhtml#1" epub:type="noteref">1</a> &amp; went.</p>
      <blockquote><p>First line,<br/>second line</p><p>  </p></blockquote>
      <ul><li><p>An item</p></li><li>Another</li></ul>
      <table><tr><td>A cell</td></tr></table>
      <svg xmlns="http://www.w3.org/2000/svg"><text>drawn</text></svg>
    </section></body></html>
    """


def test_a_chapter_gives_its_paragraphs_without_headings_and_notes():
    name = "github/publisher/author_book/1234/src/text/chapter-1.xhtml"
    pairs, reading, documents = extract("xhtml", {name: PAGE}, language="en")
    assert [english for _, english in pairs] == [
        "The Castle",
        "She said: “No, Mr. Hill.” & went.",
        "First line, second line",
        "An item",
        "Another",
        "A cell",
    ]
    assert {document.key for document in documents} == {"author_book/chapter-1"}
    assert reading.counts == {"headings": 1}
    assert reading.records == 7


@pytest.mark.parametrize(
    ("page", "line", "reason"),
    [
        ("<html>\n<p>open</html>", 2, "not well-formed (mismatched tag"),
        ("<html>&nbsp;</html>", 1, "not well-formed (undefined entity"),
        (b"<html>\n\xff</html>", 2, "not valid utf-8 (byte 0xff at 7)"),
        ("", 1, "not well-formed (no element found"),
    ],
)
def test_a_chapter_that_cannot_be_read_is_one_broken_record(page, line, reason):
    pairs, reading, _ = extract("xhtml", {"b.xhtml": page, "c.xhtml": "<p>fine</p>"}, language="en")
    assert pairs == [(None, "fine")]
    [(file, found, said)] = reading.broken
    assert (file, found) == ("b.xhtml", line)
    assert said.startswith(reason)
    assert reading.records == 2


def test_entities_that_grow_without_end_are_refused():
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE p [<!ENTITY e0 "{"x" * 100}">{levels}]><p>&e9;</p>'
    pairs, reading, _ = extract("xhtml", {"b.xhtml": bomb}, language="en")
    assert pairs == []
    assert len(reading.broken) == 1


ARTICLE = "\n".join(
    [
        " = Some Lobster = \n ",
        ' The lobster weighs 0 @.@ 7 – 2 @.@ 2 kg ( 1 @.@ 5 lb ) . It is red @-@ tipped , " as ',
        " = = Diet = = \n",
        ' It said : " Eat ! Eat . " The <unk> eats . It doesn \'t sleep . '
        "The players ' hats are $ 5 ; it 's 5 % . ",
        " = Next = \n A name . ",
    ]
)


def test_wikitext_gives_runs_of_sentences_without_a_missing_word():
    pairs, reading, documents = extract("wikitext", {"w.txt": ARTICLE}, language="en")
    assert [english for _, english in pairs] == [
        'The lobster weighs 0.7–2.2 kg (1.5 lb). It is red-tipped, " as',
        'It said: "Eat! Eat."',
        "It doesn't sleep. The players' hats are $5; it's 5%.",
        "A name.",
    ]
    assert [document.key for document in documents] == ["= Some Lobster ="] * 3 + ["= Next ="]
    assert reading.counts == {"headings": 3, "unknown_words": 1}
    assert reading.records == 8


def test_wikitext_notes_a_line_that_is_not_utf8():
    pairs, reading, _ = extract("wikitext", {"w.txt": b" A .\n \xff B .\n C ."}, language="en")
    assert [english for _, english in pairs] == ["A.", "C."]
    assert reading.broken == [("w.txt", 2, "not valid utf-8 (byte 0xff at column 2)")]
    assert reading.records == 3


def cut(text):
    """What WikiText does to plain words, for texts of the kind below."""
    for mark in ",.;:)%":
        text = text.replace(mark, f" {mark}")
    return text.replace("(", "( ").replace("-", " @-@ ").replace("'s", " 's")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["dog", "cat's", "well-known", "(often)", "5%"]), min_size=1))
def test_joining_is_the_inverse_of_cutting(words):
    text = ", ".join(words) + "."
    assert joined(cut(text)) == text


def question(passage, **fields):
    record = {"query": f"Passage: {passage}\nQuestion: why?", "gold": 0} | fields
    return json.dumps(record, ensure_ascii=False)


def test_boolq_gives_each_passage_once():
    lines = [question("``A'' is\nlong."), question("B."), question("``A'' is\nlong.")]
    pairs, reading, _ = extract("boolq", {"q.jsonl": "\n".join(lines) + "\n\n"}, language="en")
    assert pairs == [(None, '"A" is\nlong.'), (None, "B.")]
    assert reading.counts == {"repeated": 1}
    assert reading.records == 3


def test_boolq_notes_what_is_no_passage():
    lines = [
        "no",
        "[1]",
        "{}",
        '{"query": "Question: why?"}',
        '{"query": "Passage: \\ud800\\nQuestion: why?"}',
        "[" * 100_000,
    ]
    data = "\n".join(lines).encode() + b"\n\xff\n" + question("fine").encode()
    pairs, reading, _ = extract("boolq", {"q.jsonl": data}, language="en")
    assert pairs == [(None, "fine")]
    assert [(line, reason) for _, line, reason in reading.broken] == [
        (1, "not valid JSON (Expecting value)"),
        (2, "not a JSON object"),
        (3, "'query' is not a string"),
        (4, "'query' is not a passage with a question"),
        (5, "'query' has half a surrogate pair"),
        (6, "not valid JSON (nested too deeply)"),
        (7, "not valid utf-8 (byte 0xff)"),
    ]
    assert reading.records == 8


def squad(*articles):
    return json.dumps({"data": articles}, ensure_ascii=False)


def test_squad_gives_each_context_once_without_its_title():
    contexts = [
        "梅雨 [SEP] 雨が降る。",
        "他 [SEP] S&amp;Wと&lt;母音&gt;。",
        "梅雨 [SEP] 雨が降る。",
    ]
    article = {"title": "梅雨", "paragraphs": [{"context": text, "qas": []} for text in contexts]}
    pairs, reading, documents = extract("squad", {"valid.json": squad(article)})
    assert pairs == [("雨が降る。", None), ("他 [SEP] S&Wと<母音>。", None)]
    assert [document.key for document in documents] == ["梅雨"] * 2
    assert reading.counts == {"repeated": 1}
    assert reading.records == 3


def test_squad_notes_what_is_no_context():
    articles = [7, {"title": "a"}, {"title": "b", "paragraphs": [{"context": 1}, {"context": "c"}]}]
    files = {"a.json": squad(*articles), "b.json": "{}", "c.json": b"\xff"}
    pairs, reading, _ = extract("squad", files)
    assert pairs == [("c", None)]
    assert [(file, reason) for file, _, reason in reading.broken] == [
        ("a.json", "record 1: not a JSON object"),
        ("a.json", "record 2: 'paragraphs' is not a list"),
        ("a.json", "record 3: 'context' is not a string"),
        ("b.json", "record 1: 'data' is not a list"),
        ("c.json", "record 1: not valid utf-8 (byte 0xff)"),
    ]
    assert reading.records == 6


SAMPLES = {
    "xhtml": PAGE,
    "wikitext": ARTICLE,
    "boolq": question("``A'' is.") + "\n" + question("B."),
    "squad": squad({"title": "梅雨", "paragraphs": [{"context": "梅雨 [SEP] 雨。"}]}),
}


def mutated(text, seed):
    """Return the bytes of a file with some of them changed, taken out or doubled."""
    data, draw = bytearray(text.encode()), random.Random(seed)
    for _ in range(draw.randint(0, 6)):
        at = draw.randrange(len(data) + 1)
        until = min(len(data), at + draw.randint(0, 30))
        data[at:until] = draw.choice([b"", bytes(data[at:until]) * 2, draw.randbytes(3)])
    return bytes(data)


@pytest.mark.parametrize("kind", SAMPLES)
@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.integers(0, 2**32)))
def test_every_record_of_any_file_is_a_document_or_left_out_or_broken(kind, data):
    data = mutated(SAMPLES[kind], data) if isinstance(data, int) else data
    reading = Reading("source", "en")
    documents = list(EXTRACTORS[kind]([Member("file", data)], {}, reading))
    assert len(documents) + sum(reading.counts.values()) + len(reading.broken) == reading.records
    for document in documents:
        document.en.encode()  # no half of a surrogate pair
        assert document.ja is None
