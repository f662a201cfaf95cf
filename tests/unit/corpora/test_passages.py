"""Paragraphs of works and pages, joined to passages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extracting import extract
from jadapt.corpora.documents import Document, Member
from jadapt.corpora.formats import EXTRACTORS
from jadapt.corpora.passages import PAGED, SEPARATOR, passages, units


def work(*paragraphs, key="work"):
    return [Document("source", ja=text, en="x", key=key) for text in paragraphs]


def texts(documents):
    return [document.ja for document in documents]


def test_paragraphs_are_joined_up_to_the_limit():
    documents = passages(work("あ" * 40, "い" * 40, "う" * 40), "ja", 81)
    assert texts(documents) == ["あ" * 40 + SEPARATOR + "い" * 40, "う" * 40]
    # The split of a passage is that of its work, whatever English a paragraph has.
    assert {(each.en, each.key, each.source) for each in documents} == {(None, "work", "source")}
    assert len(passages(work("あ" * 40, "い" * 40), "ja", 80)) == 2


def test_works_are_not_mixed_and_what_has_no_work_stays():
    alone = Document("source", ja="猫", en="cat")
    documents = passages([*work("あ"), *work("い", key="other"), alone, *work("う")], "ja", 100)
    assert texts(documents) == ["あ", "い", "猫", "う"]
    assert documents[2] is alone


def test_a_long_paragraph_is_cut_after_a_sentence():
    assert texts(passages(work("「犬。」猫だ。長い文"), "ja", 8)) == ["「犬。」猫だ。", "長い文"]
    english = [Document("s", en="One. Two 3.5 and more", key="k")]
    assert [each.en for each in passages(english, "en", 14)] == ["One.", "Two 3.5 and mo", "re"]


PARAGRAPHS = st.lists(st.text("あ。」aA. !?", max_size=60).map(str.strip), max_size=8)


@settings(deadline=None)
@given(PARAGRAPHS, st.integers(1, 40))
def test_nothing_is_lost_and_nothing_is_too_long(paragraphs, limit):
    found = texts(passages(work(*paragraphs), "ja", limit))
    assert all(0 < len(text) <= limit for text in found)
    assert "".join("".join(found).split()) == "".join("".join(paragraphs).split())


@settings(deadline=None)
@given(PARAGRAPHS, st.integers(60, 200))
def test_passages_end_where_paragraphs_end(paragraphs, limit):
    found = SEPARATOR.join(texts(passages(work(*paragraphs), "ja", limit)))
    assert found.split(SEPARATOR) == ([text for text in paragraphs if text] or [""])


def test_units_are_pages_of_both_languages_or_files_or_none():
    roots = {"ja": "site/docs/ja", "en": "site/docs"}
    members = [Member(f"site/docs/{name}", b"") for name in ("a.md", "ja/a.md", "ja/b.md")]
    assert [
        (unit, [member.name for member in files])
        for unit, files in units("markdown", members, {"roots": roots})
    ] == [("a.md", ["site/docs/a.md", "site/docs/ja/a.md"]), ("b.md", ["site/docs/ja/b.md"])]
    assert list(units("aozora", members, {})) == [(each.name, [each]) for each in members]
    assert list(units("tsv", members, {})) == [(None, members)]


def test_paged_formats_exist():
    assert set(EXTRACTORS) > PAGED


@pytest.mark.parametrize("page", ["# 見出し\n\n本文です。\n", "本文です。\n"])
def test_reading_by_unit_finds_the_same_documents(page):
    settings = {"roots": {"ja": "ja", "en": "en"}}
    english = "# Heading\n\nIt is text.\n" if page[0] == "#" else "It is text.\n"
    files = {f"{language}/{name}.md": text for name in "ab" for language, text in
             (("ja", page), ("en", english))} | {"ja/alone.md": page}  # fmt: skip
    whole, reading, _ = extract("markdown", files, settings)
    members = sorted(Member(name, text.encode()) for name, text in files.items())
    parts, counts, records = [], {}, 0
    for _, group in units("markdown", members, settings):
        pairs, part, _ = extract("markdown", {m.name: m.data for m in group}, settings)
        parts += pairs
        records += part.records
        for name, count in part.counts.items():
            counts[name] = counts.get(name, 0) + count
    assert (parts, records) == (whole, reading.records)
    assert {k: v for k, v in counts.items() if v} == {k: v for k, v in reading.counts.items() if v}
