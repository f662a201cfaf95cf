"""Word segmentation of Japanese text: MeCab and a BiLSTM-CRF behind one protocol, and their scores.

Importing this package loads neither MeCab nor torch; `load` does, for the segmenter that it names.
"""

from jadapt.segmentation.base import BILSTM_CRF, DICTIONARIES, Segmenter
from jadapt.segmentation.loading import load

__all__ = ["BILSTM_CRF", "DICTIONARIES", "Segmenter", "load"]
