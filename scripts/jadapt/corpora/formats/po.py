"""Message catalogues (gettext PO)."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator, Sequence

import polib

from jadapt.core.errors import UserError
from jadapt.corpora.documents import (
    MARKED,
    Document,
    Member,
    Reading,
    decoded_lines,
    printable,
)
from jadapt.corpora.formats.held import Held
from jadapt.corpora.formats.rest import inline

_NAMED = re.compile(
    r"%\(\w+\)|\{\{\s*[\w.]+\s*\}\}|\{\$\s*[^$}]*\s*\$\}|(?<!\{)\{[A-Za-z_]\w*[^{}]*\}"
)
# Not every word in angle brackets is a tag: `<PATH>` stands for something that the reader fills in.
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|button|code|em|i|kbd|samp|small|span|strong|sub|sup|tt|u)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(
    r"</?(?:br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|table|tbody|td|th|thead|tr|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_UNQUOTED = re.compile(
    r"(?:#~ *)?(?:"
    r"(?:msgctxt|msgid(?:_plural)?|msgstr(?:\[\d+\])?)(?![\w\[])(?![ \t]+\".*\"[ \t]*$)"
    r"|\"(?!.*\"[ \t]*$))"
)
_HEADER = re.compile(rb'^msgid[ \t]+""[ \t]*\r?\n[ \t]*msgstr[ \t]+"(?:.*\n?[ \t]*")*', re.M)
_CHARSET = re.compile(rb"content-type:[^\n]*?charset=([^\s\"\\;]+)", re.IGNORECASE)
# Python also has encodings that are no charsets: of escapes, of the names of hosts.
_SAMPLES = (rb"\n", bytes(range(32, 127)))
# Where Python ends a line and a catalogue does not.
_SEPARATOR = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MESSAGE = re.compile(r"(?:#~\s*)?msgid(?!_plural)")
_CONTINUED = re.compile(r"(?:#~\s*)?(?:\"|msgstr\[[1-9])")
_TRANSLATION = re.compile(r"(?:#~\s*)?msgstr")
_NEXT_ENTRY = re.compile(r"#(?!~)|(?:#~\s*)?msg(?:ctxt|id(?!_plural))")
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
            if reading.undecodable(*_texts(entry)):
                continue
            if reason:
                reading.counts[reason] += 1
            else:
                english, japanese = (_readable(text) for text in pair)
                yield reading.document(ja=japanese, en=english)


def _texts(entry: polib.POEntry) -> Iterator[str]:
    """Yield every string of the entry."""
    yield from (entry.msgctxt, entry.msgid, entry.msgid_plural, entry.msgstr)
    yield from entry.msgstr_plural.values()


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
    return inline(html.unescape(_INLINE_TAG.sub("", _BLOCK_TAG.sub(" ", text))))


def _entries(member: Member, reading: Reading) -> Iterator[polib.POEntry]:
    """Parse a catalogue; if polib cannot, parse it entry by entry and note the broken ones."""
    held = Held()
    lines = [
        _SEPARATOR.sub(lambda match: held.hold(match[0]), held.prepared(line).strip())
        for line in decoded_lines(member, reading, _charset(member, reading))
    ]
    try:
        entries = list(_parse(lines))
    except (OSError, ValueError, IndexError):
        entries = _entries_by_block(member.name, lines, reading)
    for entry in entries:
        for field in ("msgctxt", "msgid", "msgid_plural", "msgstr"):
            setattr(entry, field, held.restored(getattr(entry, field) or ""))
        forms = entry.msgstr_plural.items()
        entry.msgstr_plural = {form: held.restored(text) for form, text in forms}
        yield entry


def _charset(member: Member, reading: Reading) -> str:
    """Return the encoding that the header of a catalogue declares; without one it is UTF-8.

    Raises:
        UserError: nobody knows the encoding, or it is no superset of ASCII, as catalogues have to
            be.
    """
    header = _HEADER.search(member.data)
    declared = header and _CHARSET.search(header[0])
    if not declared or declared[1] == b"CHARSET" or member.data.startswith(codecs.BOM_UTF8):
        return "utf-8"
    name = declared[1].decode("ascii", "backslashreplace")
    try:
        known = all(sample.decode(name) == sample.decode("ascii") for sample in _SAMPLES)
        b"\xff".decode(name, MARKED)
    except (LookupError, ValueError):
        known = False
    if not known:
        raise UserError(
            f"source {reading.source}: {printable(member.name)}: its header declares the charset "
            f"'{name}', which cannot be read here; convert the file to UTF-8, or leave it out by "
            "'extract.exclude'"
        )
    return codecs.lookup(name).name


def _parse(lines: list[str]) -> polib.POFile:
    # polib cuts the first and last character off a string without looking whether they are quotes.
    for number, line in enumerate(lines, 1):
        if _UNQUOTED.match(line):
            raise ValueError(f"syntax error (line {number}): text without quotes")
    # A trailing line end keeps polib from taking a short text for the name of a file.
    catalogue = polib.pofile("\n".join(lines) + "\n", encoding="utf-8")
    if len(catalogue) + bool(catalogue.metadata) < sum(map(bool, map(_MESSAGE.match, lines))):
        raise ValueError("an entry without msgstr")
    return catalogue


def _entries_by_block(name: str, lines: list[str], reading: Reading) -> Iterator[polib.POEntry]:
    for start, block in _blocks(lines):
        try:
            yield from _parse(block)
        except (OSError, ValueError, IndexError) as error:
            reading.records += 1
            if not reading.undecodable(*block):
                line, reason = _place(error)
                reading.add_broken(name, start + line, reason)


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the entries, each as the number of lines before it and its own lines.

    An entry begins at a comment or a message behind the message of another one, or, behind blank
    lines, where there was more than comments. Whatever else is behind a translation and blank lines
    is no part of it.
    """
    start, filled, keyed, translated = 0, False, False, False
    for at, line in enumerate(lines):
        blank = at > start and not lines[at - 1]
        ends = keyed or translated or (filled and blank)
        stray = translated and blank and line and not _CONTINUED.match(line)
        if stray or (ends and _NEXT_ENTRY.match(line)):
            yield start, lines[start:at]
            start, filled, keyed, translated = at, False, False, False
        filled |= bool(line) and not line.startswith("#")
        keyed |= bool(_MESSAGE.match(line))
        translated |= bool(_TRANSLATION.match(line))
    yield start, lines[start:]


def _place(error: Exception) -> tuple[int, str]:
    """Return the line within the block and the reason from an error of polib."""
    match = _SYNTAX.search(str(error))
    if not match:
        return 1, f"not a PO entry: {error}"
    detail = f" ({match[2]})" if match[2] else ""
    return int(match[1] or match[3]), f"syntax error in PO entry{detail}"
