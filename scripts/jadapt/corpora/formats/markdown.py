"""Pairs of Markdown pages in two languages, aligned section by section and block by block."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from jadapt.corpora.archives import pattern
from jadapt.corpora.documents import Document, Member, Reading, decoded_lines
from jadapt.corpora.formats.markdown_blocks import Section, read_sections


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield a pair for every block of every section that aligns.

    Settings: ``roots`` (language to a pattern for the directory of its pages); pages with the same
    path below the two roots form a pair. Sections are matched by their ids, else by their headings'
    levels, else by the code in them; within a section, code separates runs of blocks, and a run is
    paired only when both languages have the same kinds of blocks in the same order.
    """
    pages = {language: _below(members, root) for language, root in settings["roots"].items()}
    reading.counts["pages_without_pair"] += len(pages["ja"].keys() - pages["en"].keys())
    for path in sorted(pages["ja"].keys() & pages["en"].keys()):
        reading.counts["page_pairs"] += 1
        japanese, english = (_sections(pages[language][path], reading) for language in ("ja", "en"))
        if japanese is not None and english is not None:
            yield from _page(japanese, english, reading)


def _below(members: Sequence[Member], root: str) -> dict[str, Member]:
    """Return the members below the directory that matches ``root``, by their path from there."""
    prefix = re.compile(pattern(root).pattern + "/")
    found = ((prefix.match(member.name), member) for member in members)
    return {member.name[match.end() :]: member for match, member in found if match}


def _sections(member: Member, reading: Reading) -> list[Section] | None:
    """Return the sections of a page; one that cannot be parsed is a broken record."""
    try:
        return read_sections(list(decoded_lines(member, reading)))
    except RecursionError:
        reading.records += 1
        reading.add_broken(member.name, 1, "lists nested too deeply")
        return None


def _page(japanese: list[Section], english: list[Section], reading: Reading) -> Iterator[Document]:
    pairs = _aligned(japanese, english)
    reading.counts["sections"] += len(japanese)
    reading.counts["sections_not_aligned"] += len(japanese) - len(pairs)
    aligned = {id(section) for section, _ in pairs}
    left_out = sum(section.size for section in japanese if id(section) not in aligned)
    if left_out:
        reading.counts["blocks_in_sections_not_aligned"] += left_out
    reading.records += left_out
    for left, right in pairs:
        yield from _section(left, right, reading)


def _section(japanese: Section, english: Section, reading: Reading) -> Iterator[Document]:
    """Yield the pairs of one section; runs of blocks that differ in shape are counted."""
    reading.records += japanese.size
    if len(japanese.runs) != len(english.runs):
        reading.counts["sections_not_aligned"] += 1
        reading.counts["blocks_in_sections_not_aligned"] += japanese.size
        return
    for left, right in zip(japanese.runs, english.runs, strict=True):
        if [block.kind for block in left] != [block.kind for block in right]:
            reading.counts["blocks_not_aligned"] += len(left)
            continue
        for ours, theirs in zip(left, right, strict=True):
            if reading.undecodable(ours.text, theirs.text):
                continue
            if ours.text == theirs.text:
                reading.counts["identical"] += 1
            else:
                yield reading.document(ja=ours.text, en=theirs.text)


def _aligned(japanese: list[Section], english: list[Section]) -> list[tuple[Section, Section]]:
    """Match sections: by id if the Japanese page has ids, else by level, else by their code."""
    if any(section.explicit for section in japanese):
        return _matched(japanese, english, lambda section: section.identifier)
    levels = [[section.level for section in page] for page in (japanese, english)]
    if levels[0] == levels[1]:
        return list(zip(japanese, english, strict=True))
    return _matched(japanese, english, lambda section: section.signature)


def _matched(japanese: list[Section], english: list[Section], key) -> list[tuple[Section, Section]]:
    """Pair the sections whose key occurs exactly once on either side, in the Japanese order."""
    counts = [Counter(map(key, page)) for page in (japanese, english)]
    by_key = {key(section): section for section in english}
    return [
        (section, by_key[key(section)])
        for section in japanese
        if key(section) is not None and counts[0][key(section)] == counts[1][key(section)] == 1
    ]
