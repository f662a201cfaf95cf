"""The blocks of a Markdown page: sections by heading, runs by code, blocks by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from jadapt.corpora.formats.markdown_inline import plain

TOP, TITLE = "#top", "#title"
"""Ids of the part before the first heading, and of a page's only heading of level 1."""

_FENCE = re.compile(r"\s*(?:>\s*)*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})(.*)$")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*$")
_ID = re.compile(r"\s*(?:\{:?\s*#([\w.-]+)\s*\}|\{/\*\s*([\w.-]+)\s*\*/\})\s*$")
_ITEM = re.compile(r"(?:[-*+]|\d+[.)])\s+")
_QUOTE = re.compile(r"(?:>\s?)+")
_ADMONITION = re.compile(r"(?:!!!|\?\?\?\+?|///|:::|===)(?:\s|$|[\w\"{/])")
_RULE = re.compile(r"(?:[-*_]\s*){3,}")
_TABLE_RULE = re.compile(r"\|?(?:\s*:?-{2,}:?\s*\|)+(?:\s*:?-{2,}:?\s*)?")
_DEFINITION = re.compile(r"\[[^\]]+\]:\s")
_INCLUDE = re.compile(r"\{[!*].*[!*]\}|\{%.*%\}|export\s|import\s.*\bfrom\b")
_COMMENT = re.compile(
    r"<!--.*?-->|\{/\*(?!\s*[\w.-]+\s*\*/\}\s*$).*?\*/\}", re.DOTALL | re.MULTILINE
)
_TAG_LINE = re.compile(r"</?[A-Za-z][\w.]*(?:\s[^<>]*)?/?>")


@dataclass(slots=True)
class Block:
    """One unit of text; ``kind`` is heading, paragraph, item or cell."""

    kind: str
    text: str


@dataclass
class Section:
    """A heading with what follows it, as runs of blocks between pieces of code."""

    level: int = 0
    identifier: str | None = TOP
    explicit: bool = False
    runs: list[list[Block]] = field(default_factory=lambda: [[]])
    code: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of blocks."""
        return sum(map(len, self.runs))

    @cached_property
    def signature(self) -> tuple | None:
        """What a section shares with its translation: level and code; None without code."""
        return (self.level, tuple(self.code)) if self.code else None

    def add(self, kind: str, text: str) -> None:
        """Append a block of plain text, unless nothing but markup was there."""
        text = plain(text)
        if text:
            self.runs[-1].append(Block(kind, text))

    def add_code(self, code: str) -> None:
        """Close the run of blocks; pieces of code with no text between them count as one."""
        if self.runs[-1] or not self.code:
            self.runs.append([])
        self.code.append(code)


def read_sections(lines: list[str]) -> list[Section]:
    """Parse a page into its sections; the first holds what precedes the first heading."""
    reader = _Reader()
    for line in _prose(lines):
        reader.read(line)
    reader.flush()
    sections = [section for section in reader.sections if section.size or section.level]
    titles = [section for section in sections if section.level == 1]
    if len(titles) == 1:
        titles[0].identifier, titles[0].explicit = TITLE, False
    return sections


class _Code(str):
    """A piece of code, in the stream of lines."""


def _prose(lines: list[str]) -> list[str]:
    """Return the lines without front matter and comments, with each fenced piece as `_Code`."""
    if lines and lines[0].strip() == "---":
        closing = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0)
        lines = lines[closing + 1 :]
    stream, text, at = [], [], 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if not fence or (fence[1][0] == "`" and "`" in fence[2]):
            text.append(lines[at])
            at += 1
            continue
        end = at + 1
        closing = re.compile(rf"\s*(?:>\s*)*{fence[1][0]}{{{len(fence[1])},}}\s*$")
        while end < len(lines) and not closing.match(lines[end]):
            end += 1
        stream += _without_comments(text)
        stream.append(_Code("\n".join(line.strip() for line in lines[at + 1 : end])))
        text, at = [], end + 1
    return stream + _without_comments(text)


def _without_comments(lines: list[str]) -> list[str]:
    return _COMMENT.sub("", "\n".join(lines)).split("\n") if lines else []


class _Reader:
    """Gathers lines into blocks; a block ends at a blank line, a marker, or code."""

    def __init__(self):
        self.sections = [Section()]
        self.kind, self.pending = "paragraph", []

    def flush(self) -> None:
        """Hand over the lines gathered so far as one block."""
        if self.pending:
            self.sections[-1].add(self.kind, "\n".join(self.pending))
        self.kind, self.pending = "paragraph", []

    def read(self, line: str) -> None:
        if isinstance(line, _Code):
            self.flush()
            self.sections[-1].add_code(line)
            return
        heading = _HEADING.match(line)
        line = line.strip()
        if quote := _QUOTE.match(line):
            line = line[quote.end() :]
        if heading:
            self._start_section(len(heading[1]), heading[2])
        elif not line or self._is_markup(line):
            self.flush()
        elif line.startswith("|") and line.endswith("|") and len(line) > 1:
            self.flush()
            for cell in re.split(r"(?<!\\)\|", line[1:-1]):
                self.sections[-1].add("cell", cell.replace("\\|", "|"))
        else:
            marker = _ITEM.match(line)
            if marker:
                self.flush()
                self.kind, line = "item", line[marker.end() :]
            self.pending.append(line)

    @staticmethod
    def _is_markup(line: str) -> bool:
        return any(
            part.fullmatch(line) if whole else part.match(line)
            for part, whole in (
                (_ADMONITION, False),
                (_RULE, True),
                (_TABLE_RULE, True),
                (_DEFINITION, False),
                (_INCLUDE, False),
                (_TAG_LINE, True),
            )
        )

    def _start_section(self, level: int, title: str) -> None:
        self.flush()
        explicit = _ID.search(title)
        title = _ID.sub("", title)
        identifier = (explicit[1] or explicit[2]) if explicit else slug(plain(title))
        self.sections.append(Section(level, identifier, bool(explicit)))
        self.sections[-1].add("heading", title)


def slug(title: str) -> str | None:
    """Return the id that documentation generators give an English heading, if any."""
    words = re.sub(r"[^\w\s-]", "", title, flags=re.ASCII).strip().lower()
    return re.sub(r"[-\s]+", "-", words) or None
