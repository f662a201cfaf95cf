"""Long documents: the paragraphs of a work or a page, joined up to a length.

A *unit* is a work, a chapter, a page or a catalogue of messages. Formats give its paragraphs one by
one; a domain with ``passage_characters`` has them joined here, after each was cleaned by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from jadapt.corpora.archives import pattern
from jadapt.corpora.documents import Document, Member

SEPARATOR = "\n"
"""Stands between two paragraphs of a passage."""

PAGED = frozenset({"aozora", "po", "text", "txt", "xhtml"})
"""Formats whose every file is a unit of its own."""

_END = re.compile(r"[。！？]+[」』）]*|[.!?]+[\"'”’)]*(?=\s)")


def units(
    kind: str, members: Sequence[Member], settings: dict
) -> Iterator[tuple[str | None, list[Member]]]:
    """Yield the files of a source unit by unit, each with the name of the unit.

    A Markdown page is the files of both languages with the same path below their roots. What has
    no units (sentences, passages of other works) comes as a whole, with None for a name.
    """
    if kind in PAGED:
        yield from ((member.name, [member]) for member in members)
    elif kind == "markdown":
        pages: dict[str, list[Member]] = {}
        for member in members:
            pages.setdefault(_below(member.name, settings["roots"].values()), []).append(member)
        yield from pages.items()
    else:
        yield None, list(members)


def _below(name: str, roots: Iterable[str]) -> str:
    """Return the path of a page below the innermost of the roots that hold it."""
    matches = (re.match(pattern(root).pattern + "/", name) for root in roots)
    return name[max((match.end() for match in matches if match), default=0) :]


def passages(documents: Iterable[Document], language: str, limit: int) -> list[Document]:
    """Return the documents with neighbours of one unit joined to at most ``limit`` characters.

    A passage ends at the end of a paragraph; a paragraph that is longer is cut after a sentence, or
    where it must be. A passage has text in ``language`` only and the key of its unit, which decides
    its split, so that no unit is in two splits. A document without a key stays as it is.
    """
    joined: list[Document] = []
    for (source, key), unit in groupby(documents, lambda each: (each.source, each.key)):
        if key is None:
            joined += unit
            continue
        texts = (getattr(document, language) for document in unit)
        joined += (
            Document(source, key=key, **{language: text})
            for text in _joined((text for text in texts if text), limit)
        )
    return joined


def _joined(paragraphs: Iterable[str], limit: int) -> Iterator[str]:
    passage = ""
    for paragraph in paragraphs:
        for piece in _cut(paragraph, limit):
            if passage and len(passage) + len(SEPARATOR) + len(piece) > limit:
                yield passage
                passage = ""
            passage = f"{passage}{SEPARATOR}{piece}" if passage else piece
    if passage:
        yield passage


def _cut(text: str, limit: int) -> Iterator[str]:
    """Yield a paragraph in pieces of at most ``limit`` characters, without space around them."""
    while len(text) > limit:
        ends = [match.end() for match in _END.finditer(text, 0, limit)]
        cut = ends[-1] if ends else limit
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    if text:
        yield text
