"""Which script each character of a text belongs to.

The classes follow the Unicode property ``Script`` (UAX #24), read through the `regex` library, with
the choices that Japanese text needs:

- The iteration marks follow their script: ゝゞ are hiragana, ヽヾ katakana, 々〻 kanji, and so is
  the zero 〇.
- The long-vowel mark ー is ``Common`` in Unicode, shared by both kana; here it is katakana, where
  nearly all of its uses are. Its half-width form ｰ and the half-width voicing marks ﾞﾟ go with it.
- 〆 is ``Common`` with the extension Han; here it is kanji.
- 〱 to 〵, which repeat kana in vertical text, are ``Common`` with the extension of both kana; here
  they are hiragana, which they mostly repeat.
- Half-width kana, circled kana, compatibility ideographs and the supplementary planes belong to the
  script that Unicode gives them, so normalising to NFKC does not change the class of a letter.
- ``digit`` is every decimal digit (general category Nd), full-width ones included.
- The middle dot ・, the stand-alone voicing marks ゛゜, combining marks and all else are ``other``.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import regex

NAMES = ("hiragana", "katakana", "kanji", "latin", "digit", "other")
"""Class names; the number of a class is its place in this tuple."""

_PATTERNS = (
    r"[\p{Script=Hiragana}\u3031-\u3035]",
    r"[\p{Script=Katakana}\u30FC\uFF70\uFF9E\uFF9F]",
    r"[\p{Script=Han}\u3006]",
    r"\p{Script=Latin}",
    r"\p{Nd}",
)
_CODE_POINTS = 0x110000


@cache
def _table() -> np.ndarray:
    """Return the class of every code point, shape (0x110000,), uint8 (built once, 1 MiB)."""
    table = np.full(_CODE_POINTS, NAMES.index("other"), dtype=np.uint8)
    # Lone surrogates are no characters; leaving them out keeps offset and code point in two runs.
    for first, last in ((0, 0xD800), (0xE000, _CODE_POINTS)):
        characters = "".join(map(chr, range(first, last)))
        for number, pattern in enumerate(_PATTERNS):
            for match in regex.finditer(f"(?:{pattern})+", characters):
                table[first + match.start() : first + match.end()] = number
    table.flags.writeable = False
    return table


def script_of(char: str) -> str:
    """Return the class name of one character.

    Raises:
        ValueError: ``char`` is not exactly one character.
    """
    if len(char) != 1:
        raise ValueError(f"expected one character, got {len(char)}")
    return NAMES[_table()[ord(char)]]


def script_classes(text: str) -> np.ndarray:
    """Return the class number of every character, shape (len(text),), uint8; see `NAMES`."""
    code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return _table()[code_points]


def script_counts(text: str) -> dict[str, int]:
    """Return how many characters of each class ``text`` has; every name of `NAMES` is a key."""
    counts = np.bincount(script_classes(text), minlength=len(NAMES))
    return {name: int(count) for name, count in zip(NAMES, counts, strict=True)}
