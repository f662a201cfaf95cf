"""NFKC that leaves marks alone which stand by themselves.

NFKC makes of ``´ ¨ ‾ ￣ ゛ ゜`` and their like a space and a combining mark, which then sits on
that space. Here they stay as they are; only a voicing mark behind a kana that can bear it becomes
part of the kana, which is what it was typed for.
"""

from __future__ import annotations

import re
import unicodedata

_VOICED, _SEMIVOICED = ("\u3099", "゛", "ﾞ"), ("\u309a", "゜", "ﾟ")
_FULL_WIDTH = {"ﾞ": "゛", "ﾟ": "゜"}
_KANA = "".join(map(chr, range(0x3041, 0x3100)))


def _spacing() -> re.Pattern[str]:
    """Return a pattern of the characters that NFKC would set on a space, and of half-width ﾞﾟ."""
    found = set(_FULL_WIDTH)
    for char in map(chr, range(0x10000)):  # there are none beyond
        if unicodedata.decomposition(char):
            first, *marks = list(unicodedata.normalize("NFKC", char))
            if first == " " and marks:
                found.add(char)
    return re.compile(f"([{''.join(sorted(found))}])")


_SPACING = _spacing()


def _composites() -> dict[str, str]:
    """Return the composed kana by kana and spacing mark: か゛ is が."""
    found: dict[str, str] = {}
    for combining, *spacing in (_VOICED, _SEMIVOICED):
        for kana in _KANA:
            composed = unicodedata.normalize("NFC", kana + combining)
            if len(composed) == 1:
                found |= {kana + mark: composed for mark in spacing}
    return found


_COMPOSITES = _composites()
_PAIR = re.compile("|".join(map(re.escape, _COMPOSITES)))


def nfkc(text: str) -> str:
    """Return ``text`` in NFKC, but for spacing marks; doing it twice changes nothing more.

    A voicing mark of half width that no kana takes becomes one of full width.
    """
    if unicodedata.is_normalized("NFKC", text):
        return text
    parts = _SPACING.split(text)
    if len(parts) == 1:
        return unicodedata.normalize("NFKC", text)
    parts[::2] = (unicodedata.normalize("NFKC", part) for part in parts[::2])
    text = _PAIR.sub(lambda match: _COMPOSITES[match[0]], "".join(parts))
    return text.translate({ord(half): full for half, full in _FULL_WIDTH.items()})
