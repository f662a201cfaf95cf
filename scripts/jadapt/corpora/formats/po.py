"""Message catalogues (gettext PO)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

import polib

from jadapt.corpora.documents import REPLACEMENT, Document, Member, Reading, decoded_lines
from jadapt.corpora.formats.rest import inline

_NAMED = re.compile(
    r"%\(\w+\)|\{\{\s*[\w.]+\s*\}\}|\{\$\s*[^$}]*\s*\$\}|(?<!\{)\{[A-Za-z_]\w*[^{}]*\}"
)
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|br|button|code|dd|div|dl|dt|em|h[1-6]|hr|i|kbd|li|ol|p|pre|samp|small|span|"
    r"strong|sub|sup|table|tbody|td|th|tr|tt|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_UNQUOTED = re.compile(
    r"(?:#~ *)?(?:"
    r"(?:msgctxt|msgid(?:_plural)?|msgstr(?:\[\d+\])?)(?![\w\[])(?![ \t]+\".*\"[ \t]*$)"
    r"|\"(?!.*\"[ \t]*$))"
)
_SYNTAX = re.compile(r"\(line (\d+)\)(?:: (.*))?|line (\d+)")


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield a pair for every translated entry.

    Left out, and counted: obsolete, fuzzy and untranslated entries, entries equal in both
    languages, and those whose named placeholders differ. Of an entry with plural forms, the plural
    and its last form are paired (Japanese has one). Placeholders stay; markup gives its text.
    """
    for member in members:
        for entry in _entries(member, reading):
            reading.records += 1
            reason, pair = _pair(entry)
            if reason:
                reading.counts[reason] += 1
            elif REPLACEMENT not in "".join(pair):
                english, japanese = (_readable(text) for text in pair)
                yield reading.document(ja=japanese, en=english)


def _pair(entry: polib.POEntry) -> tuple[str | None, tuple[str, str]]:
    """Return why the entry is left out, or None, and its English and Japanese text."""
    english, japanese = entry.msgid, entry.msgstr
    if entry.msgid_plural:
        english = entry.msgid_plural
        japanese = entry.msgstr_plural[max(entry.msgstr_plural)] if entry.msgstr_plural else ""
    pair = english, japanese
    if entry.obsolete:
        return "obsolete", pair
    if "fuzzy" in entry.flags:
        return "fuzzy", pair
    if not japanese.strip():
        return "untranslated", pair
    if english.strip() == japanese.strip():
        return "identical", pair
    return ("placeholders" if _names(english) != _names(japanese) else None), pair


def _names(text: str) -> set[str]:
    return {re.sub(r"\s", "", name) for name in _NAMED.findall(text)}


def _readable(text: str) -> str:
    """Return the message without HTML tags and reStructuredText markup."""
    return inline(html.unescape(_TAG.sub("", text)))


def _entries(member: Member, reading: Reading) -> Iterator[polib.POEntry]:
    """Parse a catalogue; if polib cannot, parse it block by block and note the broken blocks."""
    lines = list(decoded_lines(member, reading))
    try:
        catalogue = _parse("\n".join(lines))
    except (OSError, ValueError, IndexError):
        yield from _entries_by_block(member.name, lines, reading)
        return
    yield from catalogue


def _parse(text: str) -> polib.POFile:
    # polib cuts the first and last character off a string without looking whether they are quotes.
    for number, line in enumerate(text.split("\n"), 1):
        if _UNQUOTED.match(line):
            raise ValueError(f"syntax error (line {number}): text without quotes")
    # A trailing line end keeps polib from taking a short text for the name of a file.
    return polib.pofile(text + "\n", encoding="utf-8")


def _entries_by_block(name: str, lines: list[str], reading: Reading) -> Iterator[polib.POEntry]:
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and lines[end].strip():
            end += 1
        if end > start:
            try:
                yield from _parse("\n".join(lines[start:end]))
            except (OSError, ValueError, IndexError) as error:
                reading.records += 1
                line, reason = _place(error)
                reading.add_broken(name, start + line, reason)
        start = end + 1


def _place(error: Exception) -> tuple[int, str]:
    """Return the line within the block and the reason from an error of polib."""
    match = _SYNTAX.search(str(error))
    if not match:
        return 1, f"not a PO entry ({error})"
    detail = f" ({match[2]})" if match[2] else ""
    return int(match[1] or match[3]), f"syntax error in PO entry{detail}"
