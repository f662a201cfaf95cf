"""What holds for every reader, whatever is in a file: nothing raises, and every record is counted.

Files are made of pieces of each format's markup, in any order, cut and mixed with bytes that are no
text, so that most of them are nearly right.
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extracting import extract
from jadapt.core.errors import UserError
from jadapt.corpora.cleaning import clean_text
from jadapt.corpora.formats.markdown_blocks import read_sections

SETTINGS = {
    "tsv": {"width": 3, "columns": {"ja": 1, "en": 2}, "missing": "-"},
    "markdown": {"roots": {"ja": "ja", "en": "en"}},
}
COUNTED = {
    "aozora": (),
    "jsonl": (),
    "markdown": ("identical", "blocks_not_aligned", "blocks_in_sections_not_aligned"),
    "po": ("obsolete", "fuzzy", "untranslated", "identical", "placeholders"),
    "text": (),
    "tsv": ("no_ja",),
    "txt": (),
}
"""Reasons for which a format leaves records out, and counts them."""

RULE = "-" * 30
ODD = [
    *("猫", "犬が", "cat", "é", "か゛", "\t", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1c", "\x85"),
    *("\u2028", "\ufeff", "\ufffd", "\ue000", "\ue0010\ue001"),
]
MARKUP = {
    "aozora": """
        ※［＃、1-1-52］ ※［＃U+110000］ ※［＃U+D800］ ※［＃1-99-99］ ※［＃1-0-0、U+52］
        ※［＃ ※ 《 》 ｜ ［＃ ］ 〔 〕 e' AE& 〓 ／＼ ／″＼ 「 」 底本：
        """,
    "jsonl": r"""
        {"ja": {"text": "猫" "en": "id": } } [ ] : , null 1e999 -1 \ud800 \u0000 " \ NaN
        true {"ja":"猫"} {"text":"猫","id":[1]} {"ja":"猫","id":"\ud800"} {"ja":"\udc00"}
        [[[[
        """,
    "markdown": r"""
        # ## {/*id*/} {#id} --- === +++ ``` ~~~ ` `` * - 1. > | |---|---| !!!note ??? :::
        /// <th> </th> <Note> </Note> <br> <pre> </pre> <!-- --> {/* */} {{< >}}
        {{%text="a"%}} \ < import{ export}from'x' [a]: [^1]: [a](b) ![a] {%raw%} {%endraw%}
        **a** _a_ <a@b.c> &#0;
        """,
    "po": r"""
        msgid "" msgstr msgstr[0] msgid_plural msgctxt "a" "猫" "\n" "\" " #~ #: #. #| #~|
        <th> "Content-Type:text/plain;charset=EUC-JP\n" "charset=nope\n" %(a)s `` &#0;
        """,
    "text": r"""
        .. :: === +---+ | * 1. >>> note:: ``a`` :ref:`a` `a`_ ** [1]_ |a| \ # _a: .. class::
        """,
    "tsv": "- 1",
    "txt": "",
}
WHOLE = {
    "po": [
        '\nmsgid "cat"\nmsgstr "猫"\n',
        '\n#, fuzzy\nmsgid "a"\nmsgstr "b"\n',
        '\nmsgid "cat %s"\n',
    ],
    "tsv": ["1\t猫\tcat\n", "2\t-\tcat\n", "3\t犬\t-\n", "\t", "\t\t"],
    "jsonl": ['{"ja": "猫", "en": "cat"}\n', '{"text": "犬"}\n'],
}
SEPARATORS = ("", " ", "\n", "\n\n", "\r\n", "    ", "\n    ")


def contents(kind):
    """Bytes of a file: pieces of the format with what is between them, or any bytes."""
    markup = [*MARKUP[kind].split(), *WHOLE.get(kind, ())]
    piece = st.sampled_from([*markup, *ODD])
    text = st.lists(st.tuples(piece, st.sampled_from(SEPARATORS)), max_size=40)
    encoding, head = ("shift_jis", f"{RULE}\n{RULE}\n") if kind == "aozora" else ("utf-8", "")
    made = text.map(lambda parts: (head + "".join(map("".join, parts))).encode(encoding, "replace"))
    bad = st.sampled_from([b"", b"", b"\xff", b"\x81", b"\xe3", b"\n"])
    spoilt = st.tuples(made, st.integers(0, 200), bad)
    return spoilt.map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]) | st.binary()


def files_of(kind, draw):
    """Draw the files of a source; a page's translation mostly has the same markup."""
    if kind != "markdown":
        return {"1_a": draw(contents(kind))}
    page = draw(contents(kind))
    other = page.replace("猫".encode(), b"cat").replace("犬が".encode(), b"dogs")
    return {"ja/a.md": page, "en/a.md": draw(st.just(other) | contents(kind))}


@pytest.mark.parametrize("kind", sorted(COUNTED))
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_reader_counts_every_record_and_raises_nothing_else(kind, data):
    files = files_of(kind, data.draw)
    try:
        _, reading, documents = extract(kind, files, SETTINGS.get(kind))
    except UserError as error:
        assert "\n" not in str(error)
        assert next(iter(files)) in str(error)
        return
    left_out = sum(reading.counts[reason] for reason in COUNTED[kind])
    assert len(documents) + left_out + len(reading.broken) == reading.records
    for document in documents:
        clean_text(f"{document.ja}{document.en}").text.encode()
    for file, line, reason in reading.broken:
        assert file in files
        assert 1 <= line <= files[file].count(b"\n") + 1
        assert reason.encode()


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n"))))
def test_lines_of_valid_text_come_back_as_they_are(lines):
    files = {"own.txt": "\n".join(lines).encode()}
    pairs, reading, _ = extract("txt", files)
    kept = "\n".join(lines).removeprefix("\ufeff").split("\n")
    assert [ja for ja, _ in pairs] == [line.removesuffix("\r") for line in kept if line.strip()]
    assert not reading.broken


@settings(deadline=None)
@given(st.lists(st.binary().filter(lambda line: b"\n" not in line)))
def test_every_line_is_a_document_or_broken_by_whether_it_decodes(lines):
    _, reading, documents = extract("txt", {"own.txt": b"\n".join([b"x", *lines])})
    bad = [number for number, line in enumerate(lines, 2) if not valid(line)]
    assert [line for _, line, _ in reading.broken] == bad
    assert len(documents) + len(bad) == reading.records


def valid(line):
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


PROSE = (
    "{}",
    "{}\n===",
    "{}\n---",
    "## {} ##",
    "* {}\n  {}\n\n  {}",
    "1. {}\n   - {}",
    "> {}\n{}",
    "| {} | {} |\n| --- | --- |\n| {} | {} | {} |",
    "{} | {}\n--- | ---\n{} | {}",
    "| {} |\n| {} |",
    "<tr><th>{}</th><td>{}</td></tr>",
    "<ul>\n      <li>{}</li>\n      <li>\n        {}\n      </li>\n</ul>",
    "<Note>\n{}\n</Note>",
    "!!! note\n\n    {}\n\n    {}",
    '=== "Tab"\n\n    {}',
    "[^1]: {}",
    "<!-- hidden --> {}",
    '{{{{< ref text="{}" >}}}} {}',
    "{} `<!--` {} `-->` <br/> {}",
    "import {} is prose",
)
CODE = ("```\n{}\n```", "~~~\n{}", "<pre>\n{}\n</pre>", "text\n\n    {}\n", "---\nkey: {}\n---\n")


@settings(deadline=None)
@given(st.lists(st.sampled_from(PROSE), max_size=12), st.sampled_from(["", "+++\na = 1\n+++\n"]))
def test_no_word_of_a_page_is_lost_or_read_twice(structures, head):
    page = "\n\n".join(structures)
    words = [f"word{number}" for number in range(page.count("{}") + 1)]
    sections = read_sections((head + page.format(*words)).split("\n"))
    found = [block.text for section in sections for run in section.runs for block in run]
    found = re.findall(r"word\d+", " ".join(found))
    assert sorted(found) == sorted(words[:-1])


@pytest.mark.parametrize("code", CODE)
def test_code_and_front_matter_are_not_read(code):
    sections = read_sections(code.format("word").split("\n"))
    assert not any("word" in block.text for part in sections for run in part.runs for block in run)
