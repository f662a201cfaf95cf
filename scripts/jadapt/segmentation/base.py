"""What every segmenter does, and the names of those there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

DICTIONARIES = {"unidic_lite": "unidic-lite", "ipadic": "ipadic"}
"""MeCab's dictionaries: the module of each and the package that holds it."""

BILSTM_CRF = "bilstm_crf"


class Segmenter(Protocol):
    """Cuts texts into words.

    Whatever a text holds (white space, NUL, lone surrogates), its words joined are the text itself.
    White space that an analyser takes for no word is in pieces of its own.
    """

    name: str

    def segment(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the words of each text, in order; an empty text has none."""
