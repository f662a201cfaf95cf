"""The user's own text: JSON lines, or plain text with one document a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from jadapt.corpora.documents import (
    LANGUAGES,
    REPLACEMENT,
    Document,
    Member,
    Reading,
    decoded_lines,
)


def extract_jsonl(
    members: Sequence[Member], settings: dict, reading: Reading
) -> Iterator[Document]:
    """Yield one document a line: an object with ``ja``, ``en`` or ``text``.

    ``text`` is in the domain's language.

    An ``id``, if there is one, keeps documents without English that share it in one split.
    """
    for member, number, line in _records(members, reading):
        try:
            yield _document(json.loads(line), reading)
        except json.JSONDecodeError as error:
            reading.add_broken(member.name, number, f"not valid JSON ({error.msg})")
        except ValueError as error:
            reading.add_broken(member.name, number, str(error))


def extract_txt(members: Sequence[Member], settings: dict, reading: Reading) -> Iterator[Document]:
    """Yield one document a line, in the domain's language; blank lines are skipped."""
    for _, _, line in _records(members, reading):
        yield reading.document(**{reading.language: line})


def _records(members: Sequence[Member], reading: Reading) -> Iterator[tuple[Member, int, str]]:
    """Yield the lines that can be decoded and are not blank, with their places."""
    for member in members:
        for number, line in enumerate(decoded_lines(member, reading), 1):
            if line.strip():
                reading.records += 1
                if REPLACEMENT not in line:
                    yield member, number, line


def _document(record: object, reading: Reading) -> Document:
    """Turn an object of the user's file into a document, or say in a `ValueError` why not."""
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    texts = {language: record[language] for language in LANGUAGES if record.get(language)}
    if record.get("text"):
        texts.setdefault(reading.language, record["text"])
    if reading.language not in texts:
        raise ValueError(f"neither '{reading.language}' nor 'text'")
    for field, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"'{field}' is not a string")
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ValueError(f"'{field}' has half a surrogate pair")
    key = record.get("id")
    return reading.document(**texts, key=None if key is None else str(key))
