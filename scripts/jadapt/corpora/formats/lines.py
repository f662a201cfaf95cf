"""The user's own text: JSON lines, or plain text with one document a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from jadapt.corpora.documents import (
    LANGUAGES,
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
            yield _document(json.loads(line, object_pairs_hook=_object), reading)
        except json.JSONDecodeError as error:
            reading.add_broken(member.name, number, f"not valid JSON ({error.msg})")
        except RecursionError:
            reading.add_broken(member.name, number, "nested too deeply")
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
                if not reading.undecodable(line):
                    yield member, number, line


def _object(pairs: list[tuple[str, object]]) -> dict:
    """Return an object of JSON as a mapping, or say in a `ValueError` which key it has twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"'{next(key for key in keys if keys.count(key) > 1)}' is there twice")
    return found


def _document(record: object, reading: Reading) -> Document:
    """Turn an object of the user's file into a document, or say in a `ValueError` why not."""
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    fields = (*LANGUAGES, "text")
    texts = {field: record[field] for field in fields if record.get(field) not in (None, "")}
    for field, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"'{field}' is not a string")
        _check_pairs(field, text)
    if "text" in texts:
        texts.setdefault(reading.language, texts["text"])
        del texts["text"]
    if reading.language not in texts:
        raise ValueError(f"neither '{reading.language}' nor 'text'")
    key = record.get("id")
    if key is not None:
        _check_pairs("id", key := str(key))
    return reading.document(**texts, key=key)


def _check_pairs(field: str, text: str) -> None:
    """Raise `ValueError` for half a surrogate pair: JSON can name it, no file can hold it."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(f"'{field}' has half a surrogate pair")
