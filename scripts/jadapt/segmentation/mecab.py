"""MeCab, with everything it drops put back.

MeCab is a lattice with costs estimated by a conditional random field (Kudo, Yamamoto and Matsumoto,
EMNLP 2004). It drops white space, reads C strings, which end at NUL, and takes valid UTF-8 only;
its lattice grows with the text, so that a line of megabytes would take gigabytes.
"""

from __future__ import annotations

import gc
import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jadapt.core.errors import UserError
from jadapt.segmentation.base import DICTIONARIES
from jadapt.segmentation.pieces import restore, spans

LIMIT = 5000
"""Longest text in characters that MeCab analyses in one piece."""

# What cannot go through MeCab: NUL, and surrogates, which have no UTF-8.
_REFUSED = re.compile("[\0\ud800-\udfff]+")


class MeCabSegmenter:
    """MeCab with one of `DICTIONARIES`; the user's own mecabrc plays no part."""

    def __init__(self, dictionary: str) -> None:
        self.name = dictionary
        self._tagger = tagger(dictionary)

    def segment(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the words of each text; see `jadapt.segmentation.base.Segmenter`."""
        with _no_collection():
            return self._segment(texts)

    def _segment(self, texts: Sequence[str]) -> list[list[str]]:
        # Most texts take this path, so it builds their words and nothing else.
        parse, found = self._tagger.parse, []
        for text in texts:
            if len(text) > LIMIT or "\0" in text:
                found.append(self._by_parts(text))
                continue
            try:
                output = parse(text)
            except TypeError:
                # A surrogate: there is no quicker way to know of one than to try.
                found.append(self._by_parts(text))
                continue
            found.append(_words(text, output))
        return found

    def _by_parts(self, text: str) -> list[str]:
        return [word for part in _parts(text) for word in self._parse_or_keep(part)]

    def _parse_or_keep(self, part: str) -> list[str]:
        return [part] if _REFUSED.match(part) else _words(part, self._tagger.parse(part))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave out the search for cycles: lists of words have none, and it goes through all of them
    again and again, a tenth of the time of MeCab itself."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _words(text: str, output: str) -> list[str]:
    """Return the pieces of a text that MeCab wrote the words of.

    After each word comes an ASCII space, which is in no word (other white space may be one), and
    after the last a line end. Lengths tell what was dropped between words.
    """
    words = output.split(" ")
    words.pop()
    dropped = len(text) + len(words) + len("\n") - len(output)
    if not dropped:
        return words
    if dropped == text.count(" ") and "  " not in text:
        return _spaced(text, words)
    return restore(text, words)


def _spaced(text: str, words: Sequence[str]) -> list[str]:
    """Do what `restore` does, in half the time, where all that was dropped is single spaces."""
    pieces: list[str] = []
    position = 0
    for part in text.split(" "):
        begin, left = position, len(part)
        while left > 0:
            left -= len(words[position])
            position += 1
        pieces += words[begin:position]
        pieces.append(" ")
    pieces.pop()
    return pieces


def _parts(text: str) -> Iterator[str]:
    """Yield parts that MeCab can take, and between them those that it cannot."""
    position = 0
    for match in [*_REFUSED.finditer(text), None]:
        end = match.start() if match else len(text)
        for span in spans(text[position:end], LIMIT):
            yield text[position + span.begin : position + span.end]
        if match:
            yield match[0]
            position = match.end()


def tagger(dictionary: str):
    """Return MeCab's own analyser, whose ``parse`` writes the words of a text between spaces.

    Raises:
        UserError: MeCab or the dictionary is not installed, or the dictionary is broken.
    """
    package = DICTIONARIES[dictionary]
    try:
        import MeCab
    except ImportError:
        raise UserError("MeCab is not installed: pip install mecab-python3") from None
    try:
        folder = importlib.import_module(dictionary).DICDIR
    except ImportError:
        raise UserError(
            f"the MeCab dictionary '{dictionary}' is not installed: pip install {package}"
        ) from None
    try:
        # An empty settings file: without -r MeCab looks for one on the machine.
        return MeCab.Tagger(f'-O wakati -r /dev/null -d "{folder}"')
    except RuntimeError as error:
        raise UserError(
            f"{folder}: MeCab cannot open the dictionary '{dictionary}'; install it again: "
            f"pip install --force-reinstall {package}"
        ) from error
