"""English prose from reStructuredText or plain text: one document a paragraph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jadapt.corpora.documents import Document, Member, Reading, decoded_lines
from jadapt.corpora.formats.held import Held

_ADMONITIONS = (
    "admonition|attention|caution|danger|deprecated|hint|important|note|rubric|seealso|sidebar|tip|"
    "topic|versionadded|versionchanged|warning"
)
_DESCRIPTIONS = (
    "attribute|class|classmethod|data|describe|django-admin|django-admin-option|envvar|exception|"
    "fieldlookup|function|glossary|method|object|option|setting|staticmethod|templatefilter|"
    "templatetag"
)
_KEPT = frozenset(f"{_ADMONITIONS}|{_DESCRIPTIONS}".split("|"))
"""Directives whose body is prose; the body of any other (code, tables, pictures) is skipped."""

_DIRECTIVE = re.compile(r"\.\. (?:[a-z]+:)?([a-z-]+)::(?: |$)")
_OPTION = re.compile(r":[\w -]+:(?: |$)")
_ITEM = re.compile(r"(?:[*+•-]|\(?(?:\d+|[a-z#])[.)])\s+(?=\S)")
_ADORNMENT = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}")
_SIMPLE_BORDER = re.compile(r"=+(?: +=+)+")
_GRID = re.compile(r"[+|].*[+|]")
_SESSION = re.compile(r">>>|\.\.\.\s|\.\.\.\\>|\$ |mysql>|#!")
_LITERALS = (
    re.compile(r"``(.+?)``(?!`)"),  # which may end in a grave accent of its own
    re.compile(r":[\w:+-]+:`([^`]*?)\s*<[^`>]*>`"),  # :role:`text <target>`
    re.compile(r":[\w:+-]+:`~(?:[^`]*\.)?([^`.]+)`"),  # :role:`~package.name`
    re.compile(r":doc:`(?:[^`]*/)?([^`/]+)`"),
    re.compile(r":[\w:+-]+:`[!.]?([^`]*)`"),
    re.compile(r"`([^`]+?)\s*<[^`>]*>`__?"),
    re.compile(r"`([^`]+)`(?:__?)?"),
)
_PATTERNS = (
    (re.compile(r"(?<![\w*])\*\*(?=\S)(.+?)(?<=\S)\*\*(?!\w)"), r"\1"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?![\w*])"), r"\1"),
    (re.compile(r"\s?\[(?:#\w*|\d+|\*)\]_"), ""),
    (re.compile(r"\|([\w -]+)\|_{0,2}"), r"\1"),
    (re.compile(r"\\(\s|.)"), lambda match: "" if match[1].isspace() else match[1]),
    (re.compile(r"::$"), ":"),
)


def inline(text: str) -> str:
    """Return ``text`` without markup: roles, literals, links and emphasis give their text."""
    held = Held()
    text = held.prepared(text)
    for literal in _LITERALS:
        text = literal.sub(lambda match: held.hold(match[1]), text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return held.restored(text)


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield the paragraphs; titles, code, tables and directives without prose are left out."""
    for member in members:
        lines = [line.expandtabs(8).rstrip() for line in decoded_lines(member, reading)]
        for block in _blocks(lines):
            reading.records += 1
            if not reading.undecodable(*block):
                yield reading.document(**{reading.language: inline(" ".join(block))})


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield the paragraphs and list items, each as its lines without indentation."""
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if not line:
            at += 1
        elif line.startswith(".. ") or line == "..":
            at = _after_explicit(lines, at)
        elif _SIMPLE_BORDER.fullmatch(line):
            at = _after_simple_table(lines, at)
        else:
            end = _paragraph_end(lines, at)
            block = [part.strip() for part in lines[at:end]]
            if _is_prose(block):
                if marker := _ITEM.match(block[0]):
                    block[0] = block[0][marker.end() :]
                if block != ["::"]:
                    yield block
            at = _after_literal(lines, end, _indent(lines[at])) if block[-1].endswith("::") else end


def _paragraph_end(lines: list[str], start: int) -> int:
    """Return where the paragraph at ``start`` ends: blank line, new item or new indentation."""
    marker = _ITEM.match(lines[start].strip())
    indent = _indent(lines[start]) + (marker.end() if marker else 0)
    end = start + 1
    while end < len(lines) and lines[end]:
        if _indent(lines[end]) != indent or _ITEM.match(lines[end].strip()):
            break
        end += 1
    return end


def _is_prose(block: list[str]) -> bool:
    """Tell a paragraph from a title, an option, a table or a session at a prompt."""
    if any(_ADORNMENT.fullmatch(line) for line in block):
        return False
    first = block[0]
    return not (_OPTION.match(first) or _GRID.fullmatch(first) or _SESSION.match(first))


def _after_explicit(lines: list[str], start: int) -> int:
    """Return where to read on after a line that begins with ``..``: in its body, or behind it."""
    indent = _indent(lines[start])
    directive = _DIRECTIVE.match(lines[start].strip())
    if directive and directive[1] in _KEPT:
        # The argument (a signature, a title) may go on in lines without a blank one before them.
        end = start + 1
        while end < len(lines) and lines[end] and not _begins_body(lines, start, end):
            end += 1
        return end
    return _after_literal(lines, start + 1, indent)


def _begins_body(lines: list[str], start: int, at: int) -> bool:
    """Tell whether line ``at`` is body: the directive has no argument and this is no option."""
    bare = lines[start].rstrip().endswith("::")
    return _indent(lines[at]) <= _indent(lines[start]) or (
        bare and not _OPTION.match(lines[at].strip())
    )


def _after_literal(lines: list[str], at: int, indent: int) -> int:
    """Return the first line from ``at`` on that is not blank and not deeper than ``indent``."""
    while at < len(lines) and (not lines[at] or _indent(lines[at]) > indent):
        at += 1
    return at


def _after_simple_table(lines: list[str], start: int) -> int:
    """Return the line after the last border: one that a blank line or the end follows."""
    at = start + 1
    while at < len(lines):
        border = _SIMPLE_BORDER.fullmatch(lines[at].strip())
        at += 1
        if border and (at == len(lines) or not lines[at]):
            return at
    return start + 1
