"""Read gold segmentation: CoNLL-U of Universal Dependencies, and column files with a word a line.

A text is the list of its words, with white space in pieces of its own, so that they join to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import regex

from jadapt.core.errors import UserError
from jadapt.segmentation.pieces import restore

_LATIN = regex.compile(r"\p{Latin}+")
_TEXT = "# text = "


def read(path: str | Path, form: str) -> list[list[str]]:
    """Read the texts of a file of format ``form``, a key of `READERS`.

    Raises:
        UserError: the file is missing, is not UTF-8, or has a line that does not belong there; the
            message names file and line.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fetch it again") from error
    return list(READERS[form](path, _blocks(path, lines)))


def _blocks(path: str | Path, lines: Iterable[bytes]) -> Iterator[list[tuple[int, str]]]:
    """Yield runs of lines between empty ones, each line with its number."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}:{number}: invalid UTF-8 at byte {error.start + 1} of the line; gold "
                "segmentation must be UTF-8, convert the file"
            ) from error
        if text:
            block.append((number, text))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _conllu(path: str | Path, blocks: Iterable[list[tuple[int, str]]]) -> Iterator[list[str]]:
    for block in blocks:
        text, words, covered = None, [], 0
        for number, line in block:
            if line.startswith("#"):
                text = line.removeprefix(_TEXT) if line.startswith(_TEXT) else text
                continue
            fields = line.split("\t")
            if len(fields) != 10:
                raise UserError(f"{path}:{number}: {len(fields)} columns, CoNLL-U has 10")
            first, _, last = fields[0].partition("-")
            # 3-4 is one written word that stands for two; 3.1 is not written at all.
            if "." in first or (not last and int(first) <= covered):
                continue
            covered = int(last or covered)
            words.append(fields[1])
        if text is None:
            raise UserError(f"{path}:{block[0][0]}: a sentence without '{_TEXT.strip()}'")
        try:
            yield restore(text, words)
        except ValueError as error:
            raise UserError(f"{path}:{block[0][0]}: {error}") from error


def _words(path: str | Path, blocks: Iterable[list[tuple[int, str]]]) -> Iterator[list[str]]:
    """Read the first of tab-separated columns as words.

    Such files do not say where spaces were. Japanese has them between Latin words, which would read
    as one without, so there they are put back; single letters are parts of names such as FF.
    """
    for block in blocks:
        words: list[str] = []
        for number, line in block:
            word = line.split("\t")[0]
            if not word.strip():
                raise UserError(f"{path}:{number}: the first column holds no word")
            if words and _spaced(words[-1], word):
                words.append(" ")
            words.append(word)
        yield words


def _spaced(before: str, after: str) -> bool:
    latin = _LATIN.fullmatch(before) and _LATIN.fullmatch(after)
    return bool(latin) and max(len(before), len(after)) > 1


READERS = {"conllu": _conllu, "words": _words}
"""Reader by the value of ``format``."""
