"""The blocks of a Markdown page: sections by heading, runs by code, blocks by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, cached_property

from markdown_it import MarkdownIt
from markdown_it.token import Token

from jadapt.corpora.documents import has_mark
from jadapt.corpora.formats.held import Held
from jadapt.corpora.formats.markdown_dialects import CODE, is_mdx, plain_markdown
from jadapt.corpora.formats.markdown_inline import plain

TOP, TITLE = "#top", "#title"
"""Ids of the part before the first heading, and of a page's only heading of level 1."""

_ID = re.compile(r"\s*(?:\{:?\s*#([\w.-]+)\s*\}|\{/\*\s*([\w.-]+)\s*\*/\})\s*$")
_CELL = re.compile(r"(?<!\\)\|")
_ROW = re.compile(r"\|.*\|")
_TABLE_RULE = re.compile(r"\|?(?:\s*:?-{2,}:?\s*\|)+(?:\s*:?-{2,}:?\s*)?")
# A page nested deeper than Python's stack ends in a RecursionError: better than text left out.
_NESTING = {"maxNesting": 10**6}


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
        """Append a block of plain text, unless nothing but markup was there.

        Text with undecodable bytes stays as it is, so that whoever pairs it sees them.
        """
        text = text if has_mark(text) else plain(text)
        if text:
            self.runs[-1].append(Block(kind, text))

    def add_code(self, code: str) -> None:
        """Close the run of blocks; pieces of code with no text between them count as one."""
        if self.runs[-1] or not self.code:
            self.runs.append([])
        self.code.append(code)


def read_sections(lines: list[str]) -> list[Section]:
    """Parse a page into its sections; the first holds what precedes the first heading.

    Raises:
        RecursionError: lists are nested deeper than can be read.
    """
    sections = _Reader(lines).sections
    sections = [section for section in sections if section.size or section.level]
    titles = [section for section in sections if section.level == 1]
    if len(titles) == 1:
        titles[0].identifier, titles[0].explicit = TITLE, False
    return sections


@cache
def _parser(indented_code: bool) -> MarkdownIt:
    """Return a parser of blocks; tags are left to `plain`, as MDX has them anywhere."""
    parser = MarkdownIt("commonmark", _NESTING).enable("table").disable(["html_block", "reference"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser if indented_code else parser.disable("code")


class _Reader:
    """Puts the blocks of a page into sections, from the tokens of the parser."""

    def __init__(self, lines: list[str]):
        self.sections = [Section()]
        self._held = Held()
        self._lines = plain_markdown(lines, self._held)
        parser = _parser(indented_code=not is_mdx("\n".join(lines)))
        self._read(parser.parse("\n".join(self._lines)))

    def _read(self, tokens: list[Token]) -> None:
        in_table = False
        for number, token in enumerate(tokens):
            if token.type in ("table_open", "table_close"):
                in_table = token.type == "table_open"
            elif token.type in ("fence", "code_block"):
                self._add_code(token.content)
            elif in_table:
                self._read_row(tokens, number)
            elif token.type == "inline":
                before = tokens[number - 1]
                if before.type == "heading_open":
                    self._heading(int(before.tag[1:]), token.content, nested=before.level > 0)
                else:
                    item = tokens[number - 2].type == "list_item_open"
                    self._paragraph(token.content, "item" if item else "paragraph")

    def _heading(self, level: int, title: str, nested: bool) -> None:
        """Start a section, unless the heading is part of a list."""
        title = self._held.restored(title)
        explicit = _ID.search(title)
        title = _ID.sub("", title)
        if not nested:
            identifier = (explicit[1] or explicit[2]) if explicit else slug(plain(title))
            self.sections.append(Section(level, identifier, bool(explicit)))
        self.sections[-1].add("heading", title)

    def _paragraph(self, text: str, kind: str) -> None:
        lines = [line.strip() for line in text.split("\n")]
        if text.startswith(CODE):
            self._add_code(text)
        elif all(map(_ROW.fullmatch, lines)):
            for line in lines:
                self._add_cells(line)
        else:
            self._add(kind, "\n".join(lines))

    def _read_row(self, tokens: list[Token], number: int) -> None:
        """Take a row of a table: the head from its tokens, others from the text.

        Tokens leave out cells that are more than the head has.
        """
        token = tokens[number]
        if token.type == "inline" and tokens[number - 1].type == "th_open":
            self._add("cell", token.content)
        elif token.type == "tr_open" and token.map and tokens[number - 1].type != "thead_open":
            self._add_cells(self._lines[token.map[0]].strip())

    def _add_cells(self, row: str) -> None:
        """Add the cells of a row, unless it is the rule between the head and the others."""
        if not _TABLE_RULE.fullmatch(row):
            for cell in _CELL.split(row.removeprefix("|")):
                self._add("cell", cell.replace("\\|", "|"))

    def _add(self, kind: str, text: str) -> None:
        self.sections[-1].add(kind, self._held.restored(text))

    def _add_code(self, text: str) -> None:
        lines = self._held.restored(text.replace(CODE, "")).split("\n")
        self.sections[-1].add_code("\n".join(line.strip() for line in lines))


def slug(title: str) -> str | None:
    """Return the id that documentation generators give an English heading, if any."""
    words = re.sub(r"[^\w\s-]", "", title, flags=re.ASCII).strip().lower()
    return re.sub(r"[-\s]+", "-", words) or None
