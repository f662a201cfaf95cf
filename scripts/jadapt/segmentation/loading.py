"""The one place that makes segmenters, by their names."""

from __future__ import annotations

from pathlib import Path

from jadapt.core.errors import UserError, nearest
from jadapt.segmentation.base import BILSTM_CRF, DICTIONARIES, Segmenter


def load(name: str, model: str | Path | None = None) -> Segmenter:
    """Return the segmenter ``name``: a MeCab dictionary, or ``bilstm_crf`` from folder ``model``.

    Raises:
        UserError: the name is unknown, the dictionary is not installed, or the model is not there.
    """
    if name in DICTIONARIES:
        from jadapt.segmentation.mecab import MeCabSegmenter

        return MeCabSegmenter(name)
    if name == BILSTM_CRF:
        if model is None:
            raise UserError(f"segmenter {name}: name the folder of its model")
        from jadapt.segmentation.neural import BiLSTMCRFSegmenter

        return BiLSTMCRFSegmenter.load(model)
    raise UserError(f"segmenter '{name}': unknown{nearest(name, [*DICTIONARIES, BILSTM_CRF])}")
