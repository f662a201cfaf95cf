"""The passages of data sets of questions: BoolQ as LLM Foundry packs it, and SQuAD's layout.

Only the passages are read, each once, however many questions there are about it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence

from jadapt.corpora.documents import Document, Member, Reading

SEPARATOR = " [SEP] "
"""Stands between the title of an article and a paragraph of it in JSQuAD."""

_QUERY = re.compile(r"Passage: (?P<passage>.*)\nQuestion: [^\n]*", re.DOTALL)
_QUOTES = re.compile(r"``|''")


def extract_boolq(
    members: Sequence[Member], settings: dict, reading: Reading
) -> Iterator[Document]:
    """Yield the passages of ``{"query": "Passage: …\\nQuestion: …"}``, an object a line.

    Quotation marks that were written as pairs of grave accents and apostrophes become plain ones.
    A passage that has come before is left out as ``repeated``.
    """
    seen: set[str] = set()
    for member in members:
        for number, line in enumerate(member.data.split(b"\n"), 1):
            if not line.strip():
                continue
            reading.records += 1
            try:
                passage = _QUOTES.sub('"', _passage(_loaded(line)))
            except ValueError as error:
                reading.add_broken(member.name, number, str(error))
                continue
            yield from _once(passage, None, seen, reading)


def extract_squad(
    members: Sequence[Member], settings: dict, reading: Reading
) -> Iterator[Document]:
    """Yield the contexts of SQuAD's layout, without the ``title [SEP]`` that JSQuAD puts first.

    References to characters (``&amp;``), of which JSQuAD has some, are resolved. The key is the
    title of the article. What is no article, no paragraph or no context is one broken record each;
    a context that has come before is left out as ``repeated``.
    """
    seen: set[str] = set()
    for member in members:
        for number, (title, context) in enumerate(_contexts(member), 1):
            reading.records += 1
            if title is None:
                reading.add_broken(member.name, 1, f"record {number}: {context}")
            else:
                text = html.unescape(context.removeprefix(f"{title}{SEPARATOR}"))
                yield from _once(text, title, seen, reading)


def _once(text: str, key: str | None, seen: set[str], reading: Reading) -> Iterator[Document]:
    if text in seen:
        reading.counts["repeated"] += 1
        return
    seen.add(text)
    yield reading.document(**{reading.language: text}, key=key)


def _loaded(data: bytes) -> object:
    """Parse JSON; every way in which that can fail is a `ValueError` with a short text."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not valid utf-8 (byte 0x{data[error.start]:02x})") from error
    except RecursionError as error:
        raise ValueError("not valid JSON (nested too deeply)") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error.msg})") from error


def _passage(record: object) -> str:
    query = _field(record, "query", str)
    match = _QUERY.fullmatch(query)
    if not match:
        raise ValueError("'query' is not a passage with a question")
    return match["passage"]


def _field(record: object, name: str, kind: type):
    """Return a field of an object, or say in a `ValueError` what is wrong with it."""
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    value = record.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"'{name}' is not a {'list' if kind is list else 'string'}")
    if kind is str and any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"'{name}' has half a surrogate pair")
    return value


def _contexts(member: Member) -> Iterator[tuple[str | None, str]]:
    """Yield (title, context) of every paragraph, or (None, reason) of what cannot be read."""
    try:
        articles = _field(_loaded(member.data), "data", list)
    except ValueError as error:
        yield None, str(error)
        return
    for article in articles:
        try:
            title, paragraphs = _field(article, "title", str), _field(article, "paragraphs", list)
        except ValueError as error:
            yield None, str(error)
            continue
        for paragraph in paragraphs:
            try:
                yield title, _field(paragraph, "context", str)
            except ValueError as error:
                yield None, str(error)
