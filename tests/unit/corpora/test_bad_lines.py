"""Lines that are no text, and lines that only look like it: each is read, or counted once."""

import json

import pytest

from extracting import extract
from jadapt.core.errors import UserError
from jadapt.corpora.documents import Reading

TSV = {"width": 3, "columns": {"ja": 1, "en": 2}, "missing": "-"}
ROOTS = {"roots": {"ja": "ja", "en": "en"}}
AOZORA = "題\n{0}\n記号\n{0}\n".format("-" * 30).encode("shift_jis")
BAD = b"\xff\xfe"
WRAPPED = {
    "jsonl": (b'{"ja": "', b'"}\n{"ja": "x"}'),
    "po": (b'msgid "a"\nmsgstr "', b'"\n\nmsgid "b"\nmsgstr "x"\n'),
    "text": (b"a ", b" b\n\nx"),
    "tsv": (b"1\t", b"\ten\n2\tx\t-"),
    "txt": (b"", b"\nx"),
}
"""What stands before and behind a text in a file of each format, with a good record after it."""


@pytest.mark.parametrize("kind", [*WRAPPED, "markdown"])
@pytest.mark.parametrize("text", ["猫\ufffd", "\ufffd", "\ufffd\ufffd犬\ufffd"])
def test_a_replacement_character_of_the_text_itself_is_text(kind, text):
    if kind == "markdown":
        files = {"ja/a.md": f"{text}\n\n犬", "en/a.md": "cat\n\ndog"}
        pairs, reading, _ = extract(kind, files, ROOTS)
    else:
        before, behind = WRAPPED[kind]
        files = {"a": before + text.encode() + behind}
        pairs, reading, _ = extract(kind, files, TSV)
    assert reading.broken == []
    assert text in pairs[0][0]
    assert len(pairs) == reading.records == 2


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("bad", [BAD, b"\xe3\x81", b"\xc0\x80", b"\xed\xa0\x80", b"a\xff\n\xfeb"])
def test_bytes_that_are_no_text_break_their_record_once(kind, bad):
    if kind in ("jsonl", "tsv", "txt", "po"):
        bad = bad.replace(b"\n", b"")
    before, behind = WRAPPED[kind]
    pairs, reading, _ = extract(kind, {"a": before + bad + behind}, TSV)
    assert [ja for ja, _ in pairs] == ["x"]
    assert len(reading.broken) == 1
    assert "not valid utf-8 (byte 0x" in reading.broken[0][2]
    assert reading.records == 2


def test_a_block_with_several_bad_lines_is_one_broken_record():
    files = {"ja/a.md": b"\xff\n\xfe\nc\n\nd", "en/a.md": b"a\nb \xff\nc\n\nd e"}
    pairs, reading, _ = extract("markdown", files, ROOTS)
    assert pairs == [("d", "d e")]
    assert (reading.records, len(reading.broken)) == (2, 1)
    assert reading.broken[0][:2] == ("ja/a.md", 1)


def test_bad_bytes_where_no_text_is_read_break_nothing():
    files = {
        "ja/a.md": b"---\ntitle: \xff\n---\n\n```\n\xff\n```\n\n<!-- \xff -->\n\nd",
        "en/a.md": b"```\na\n```\n\nd e",
    }
    pairs, reading, _ = extract("markdown", files, ROOTS)
    assert pairs == [("d", "d e")]
    assert reading.broken == []
    po = b'# \xe9dit\xe9\nmsgid "a"\nmsgstr "\xe7\x8c\xab"\n'
    assert extract("po", {"a.po": po})[1].broken == []


def test_a_bad_byte_in_ruby_breaks_the_paragraph():
    line = "猫".encode("shift_jis") + b"\x81\x75\xfd\xff"
    _, reading, documents = extract("aozora", {"1_a": AOZORA + line + b"\nabc\n"})
    assert [document.ja for document in documents] == ["abc"]
    assert reading.broken[0][:2] == ("1_a", 5)
    assert reading.records == 2


@pytest.mark.parametrize("number", [0, 1, 1023, 1024, 1025, 2000])
def test_every_one_of_many_bad_lines_is_named(number):
    data = b"\n".join([b"\xff"] * 2001)
    reading = extract("txt", {"a": data})[1]
    assert reading.broken[number][:2] == ("a", number + 1)
    assert len(reading.broken) == reading.records == 2001


RECORDS = {
    '{"ja": "猫", "id": "\\ud800"}': "'id' has half a surrogate pair",
    '{"ja": "猫", "id": ["\\udfff"]}': None,
    '{"ja": "猫\\ud83d"}': "'ja' has half a surrogate pair",
    '{"text": "\\udc00"}': "'text' has half a surrogate pair",
    '{"ja": "猫", "en": "\\ud800"}': "'en' has half a surrogate pair",
    '{"ja": ' + "[" * 100000 + "]" * 100000 + "}": "nested too deeply",
    "[" * 100000: "nested too deeply",
    '{"a":' * 100000: "nested too deeply",
    '{"ja": ' + "9" * 5000 + "}": "Exceeds the limit",
    '{"ja": 0}': "'ja' is not a string",
    '{"ja": false, "text": "猫"}': "'ja' is not a string",
    '{"ja": []}': "'ja' is not a string",
    '{"ja": "猫", "en": 0}': "'en' is not a string",
    '{"ja": "猫", "text": {}}': "'text' is not a string",
    '{"ja": "猫", "ja": "犬"}': "'ja' is there twice",
    '{"ja": "猫", "x": {"y": 1, "y": 2}}': "'y' is there twice",
    '{"ja": null}': "neither 'ja' nor 'text'",
    '{"ja": ""}': "neither 'ja' nor 'text'",
    "null": "not a JSON object",
    '"猫"': "not a JSON object",
    "NaN": "not a JSON object",
    '{"ja": "猫"} x': "not valid JSON (Extra data)",
    '{"ja": "猫"': "not valid JSON",
    "{'ja': '猫'}": "not valid JSON",
    '{"ja": "猫\t"}': "not valid JSON (Invalid control character at)",
    '{"ja": "\\x"}': "not valid JSON (Invalid \\escape)",
    "\x00": "not valid JSON",
}


@pytest.mark.parametrize(("line", "reason"), RECORDS.items(), ids=range(len(RECORDS)))
def test_one_line_of_json_breaks_one_record(line, reason):
    good = json.dumps({"ja": "犬"})
    pairs, reading, _ = extract("jsonl", {"own.jsonl": f"{good}\n{line}\n{good}\n"})
    assert reading.records == 3
    if reason is None:
        assert len(pairs) == 3
        return
    assert pairs == [("犬", None)] * 2
    [(file, number, said)] = reading.broken
    assert (file, number) == ("own.jsonl", 2)
    assert said.startswith(reason)


@pytest.mark.parametrize("columns", [{"ja": 3}, {"ja": 1, "en": 99}, {"ja": -1}])
def test_a_column_that_lines_do_not_have_is_named(columns):
    with pytest.raises(UserError, match=r"source source: extract\.columns\.(ja|en): -?\d+, but"):
        extract("tsv", {"t": "1\t2\t3\n"}, {"width": 3, "columns": columns})


@pytest.mark.parametrize("name", ["caf\udce9.txt", "\ud800"])
def test_a_name_that_is_no_text_can_be_reported(name):
    reading = Reading("source", "ja", records=1)
    reading.add_broken(name, 1, "reason \udcff")
    assert json.dumps(reading.broken, ensure_ascii=False).encode()
    with pytest.raises(UserError) as raised:
        reading.check(0.01)
    assert str(raised.value).encode()
