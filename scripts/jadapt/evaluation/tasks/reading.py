"""Read the files that tasks are made of, as a record an item."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jadapt.core.errors import UserError

COLUMNS = 7  # of a row of the crosslingual Winograd collection


def read(path: Path, form: str, language: str | None = None) -> list[dict]:
    """Read the records of a file of format ``form``, a key of `READERS`.

    Raises:
        UserError: a part of it cannot be read; file and line are named.
    """
    try:
        return list(READERS[form](path, language))
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and run again") from error


def _json_lines(path: Path, _: str | None) -> Iterator[dict]:
    yield from _records(path.read_bytes().splitlines(), str(path))


def _records(lines: Iterable[bytes], origin: str) -> Iterator[dict]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise UserError(f"{origin}:{number}: not a line of UTF-8 JSON ({error})") from error
        if not isinstance(record, dict):
            raise UserError(f"{origin}:{number}: not a JSON object")
        yield record


def _zip_json_lines(path: Path, _: str | None) -> Iterator[dict]:
    """Read every ``.jsonl`` of an archive, sorted by name; macOS's copies are left out."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".jsonl") and not name.startswith("__MACOSX"):
                yield from _records(archive.read(name).splitlines(), f"{path}/{name}")


def _squad(path: Path, _: str | None) -> Iterator[dict]:
    """Read the questions of SQuAD's layout, with their context and the distinct answers."""
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        for article in articles:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = [answer["text"] for answer in question["answers"]]
                    yield {
                        "title": article["title"],
                        "context": paragraph["context"],
                        "question": question["question"],
                        "answers": list(dict.fromkeys(answers)),
                    }
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not in SQuAD's layout ({error!r})") from error


def _winograd(path: Path, language: str | None) -> Iterator[dict]:
    """Read sentences with a pronoun: one beginning a candidate, and what follows the pronoun.

    The table has the columns language, kind, original, sentence, tokens, pronoun and candidates;
    the last three are JSON, and places count tokens.
    """
    with open(path, encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(rows, 1):
            if row[0] != language:
                continue
            try:
                if len(row) != COLUMNS:
                    raise ValueError(f"{len(row)} columns, expected {COLUMNS}")
                sentence, pronoun, candidates = row[3], json.loads(row[5]), json.loads(row[6])
                start, end = _place(sentence, json.loads(row[4]), pronoun)
                yield {
                    "sentence": sentence,
                    "beginnings": [sentence[:start] + name for name, *_ in candidates],
                    "rest": sentence[end:],
                    "gold": [right for *_, right in candidates].index(True),
                }
            except (ValueError, TypeError) as error:
                raise UserError(f"{path}:{number}: not a row of this table ({error})") from error


def _place(sentence: str, tokens: list[str], pronoun: list) -> tuple[int, int]:
    """Return where a pronoun stands in a sentence, in characters."""
    start = 0
    for token in tokens[: pronoun[1][0]]:
        start = sentence.index(token, start) + len(token)
    start = sentence.index(pronoun[0], start)
    return start, start + len(pronoun[0])


READERS: dict[str, Callable[[Path, str | None], Iterator[dict]]] = {
    "json_lines": _json_lines,
    "zip_json_lines": _zip_json_lines,
    "squad": _squad,
    "winograd": _winograd,
}
