"""What every segmenter does, and the one place that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from jadapt.errors import UserError, nearest

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


def load(name: str, model: str | Path | None = None) -> Segmenter:
    """Return the segmenter ``name``: a MeCab dictionary, or ``bilstm_crf`` from folder ``model``.

    Raises:
        UserError: the name is unknown, the dictionary is not installed, or the model is not there.
    """
    if name in DICTIONARIES:
        from jadapt.text.segmentation.mecab import MeCabSegmenter

        return MeCabSegmenter(name)
    if name == BILSTM_CRF:
        if model is None:
            raise UserError(f"segmenter {name}: name the folder of its model")
        from jadapt.text.segmentation.neural import BiLSTMCRFSegmenter

        return BiLSTMCRFSegmenter.load(model)
    raise UserError(f"segmenter '{name}': unknown{nearest(name, [*DICTIONARIES, BILSTM_CRF])}")
