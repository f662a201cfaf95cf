"""Chapters of books in XHTML, as Standard Ebooks publishes them: one document a paragraph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree

from jadapt.corpora.documents import Document, Member, Reading

_XHTML = "{http://www.w3.org/1999/xhtml}"
_TYPE = "{http://www.idpf.org/2007/ops}type"
_HEADINGS = frozenset(f"h{level}" for level in range(1, 7))
_BLOCKS = frozenset({"dd", "dt", "figcaption", "li", "p", "td", "th"})
_SKIPPED = frozenset({"head", "math", "script", "style", "svg"})
_REFERENCES = frozenset({"backlink", "noteref"})


def extract(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield one document a paragraph, list item or cell; the key is the chapter, book and file.

    Headings are left out and counted, and so are the numbers of notes (which are no record). A file
    that is not well-formed is one broken record.
    """
    for member in members:
        try:
            root = ElementTree.fromstring(member.data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            reason = f"not valid utf-8 (byte 0x{error.object[error.start]:02x} at {error.start})"
            line = member.data.count(b"\n", 0, error.start) + 1
        except ElementTree.ParseError as error:
            reason, line = f"not well-formed ({error})", error.position[0]
        else:
            yield from _paragraphs(root, chapter(member.name), reading)
            continue
        reading.records += 1
        reading.add_broken(member.name, line, reason)


def chapter(name: str) -> str:
    """Return the key of a file: the repository of its book (if the path has one) and its stem."""
    parts = PurePosixPath(name).parts
    return "/".join([*parts[2:3], PurePosixPath(name).stem])


def _paragraphs(root: ElementTree.Element, key: str, reading: Reading) -> Iterator[Document]:
    """Yield the innermost blocks of a page that have text of their own."""
    open_elements = [root]
    while open_elements:
        element = open_elements.pop()
        tag = _tag(element)
        if tag in _SKIPPED:
            continue
        if tag not in _HEADINGS and (tag not in _BLOCKS or _holds_blocks(element)):
            open_elements += reversed(element)
            continue
        text = " ".join(_text(element).split())
        if not text:
            continue
        reading.records += 1
        if tag in _HEADINGS:
            reading.counts["headings"] += 1
        else:
            yield reading.document(**{reading.language: text}, key=key)


def _tag(element: ElementTree.Element) -> str:
    """Return the name of an element of XHTML, with or without its namespace."""
    return element.tag.removeprefix(_XHTML)


def _holds_blocks(element: ElementTree.Element) -> bool:
    return any(_tag(inner) in _BLOCKS for inner in element.iter() if inner is not element)


def _text(element: ElementTree.Element) -> str:
    """Return the text of a block; a line break is a space, the numbers of notes are left out."""
    parts: list[str] = []
    waiting: list[ElementTree.Element | str] = [element]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            parts.append(part)
            continue
        if part is not element:
            waiting.append(part.tail or "")
        if _tag(part) == "br":
            parts.append(" ")
        elif _tag(part) not in _SKIPPED and _REFERENCES.isdisjoint(part.get(_TYPE, "").split()):
            waiting += reversed(part)
            parts.append(part.text or "")
    return "".join(parts)
