"""Normalisations that a tokenizer may apply before it encodes: part of it, recorded in its meta.

``nfkc_punctuation`` is the policy of the earlier study of the same question (its description of the
data set): NFKC, the wave dash as a long-vowel mark, and Japanese full stops, commas and brackets as
ASCII. Brackets lose their direction, so unlike the others it merges characters of different use.
"""

from __future__ import annotations

import unicodedata

NONE, NFKC, NFKC_PUNCTUATION = NAMES = ("none", "nfkc", "nfkc_punctuation")

# ～ and the full-width ！？ are what NFKC makes of them, ~ and !?, before this table is read.
_PUNCTUATION = str.maketrans(
    {"〜": "ー", "。": ".", "、": ",", "「": '"', "」": '"', "『": '"', "』": '"'}
)


def normalise(text: str, name: str) -> str:
    """Return ``text`` in the form ``name``, one of `NAMES`."""
    if name == NONE:
        return text
    text = unicodedata.normalize("NFKC", text)
    return text.translate(_PUNCTUATION) if name == NFKC_PUNCTUATION else text
