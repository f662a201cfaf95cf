"""Word segmentation of Japanese text: MeCab and a BiLSTM-CRF behind one protocol, and their scores.

Importing this package loads neither MeCab nor torch; `load` does, for the segmenter that it names.
"""

from jadapt.text.segmentation.base import Segmenter, load

__all__ = ["Segmenter", "load"]
