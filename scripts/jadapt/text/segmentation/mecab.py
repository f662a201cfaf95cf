"""MeCab, with everything it drops put back.

MeCab is a lattice with costs estimated by a conditional random field (Kudo, Yamamoto and Matsumoto,
EMNLP 2004). It drops white space, reads C strings, which end at NUL, and takes valid UTF-8 only;
its lattice grows with the text, so that a line of megabytes would take gigabytes.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence

from jadapt.errors import UserError
from jadapt.text.segmentation.base import DICTIONARIES
from jadapt.text.segmentation.pieces import restore, spans

LIMIT = 5000
"""Longest text in characters that MeCab analyses in one piece."""

# What cannot go through MeCab: NUL, and surrogates, which have no UTF-8.
_REFUSED = re.compile("[\0\ud800-\udfff]+")


class MeCabSegmenter:
    """MeCab with one of `DICTIONARIES`; the user's own mecabrc plays no part."""

    def __init__(self, dictionary: str) -> None:
        self.name = dictionary
        self._tagger = _tagger(dictionary)

    def segment(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the words of each text; see `jadapt.text.segmentation.base.Segmenter`."""
        return [self._words(text) for text in texts]

    def _words(self, text: str) -> list[str]:
        # This path is nearly as fast as MeCab itself: it builds the words and nothing else.
        if len(text) <= LIMIT and "\0" not in text:
            try:
                return self._parse(text)
            except TypeError:
                # A surrogate: there is no quicker way to know of one than to try.
                pass
        return [word for part in _parts(text) for word in self._parse_or_keep(part)]

    def _parse_or_keep(self, part: str) -> list[str]:
        return [part] if _REFUSED.match(part) else self._parse(part)

    def _parse(self, text: str) -> list[str]:
        # After each word comes an ASCII space, which is in no word (other white space may be one),
        # and after the last a line end. Lengths tell whether anything was dropped between them.
        output = self._tagger.parse(text)
        words = output.split(" ")
        words.pop()
        whole = len(output) == len(text) + len(words) + len("\n")
        return words if whole else restore(text, words)


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


def _tagger(dictionary: str):
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
