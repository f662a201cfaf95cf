"""The accents of Latin letters in the notation of Aozora Bunko: ``〔cafe'〕`` is café.

A letter is followed by a sign for its accent, in brackets that tell it from other text. The letters
are those of Aozora Bunko's table. Left out of it are signs that Latin text has of its own behind
the same letter: an apostrophe after a consonant is one of elision (``n'allez``, ``L'Atomisme``), a
comma after any letter but c ends a clause, and a stroke after any letter but o parts two words.
"""

from __future__ import annotations

import re
import unicodedata

_COMBINING = {
    "`": ("\u0300", "AEINOUaeinou"),
    "'": ("\u0301", "AEIOUYaeiouy"),
    "^": ("\u0302", "ACEGHIJOSUaceghijosu"),
    "~": ("\u0303", "AEINOUaeinou"),
    ":": ("\u0308", "AEIOUaeiouy"),
    "_": ("\u0304", "AEIOUaeiou"),
    "&": ("\u030a", "AUau"),
    ",": ("\u0327", "Cc"),
}
_OTHERS = {
    "AE&": "Æ", "ae&": "æ", "OE&": "Œ", "oe&": "œ", "s&": "ß",
    "O/": "Ø", "o/": "ø", "!@": "¡", "?@": "¿",
}  # fmt: skip
LETTERS = _OTHERS | {
    letter + sign: unicodedata.normalize("NFC", letter + combining)
    for sign, (combining, letters) in _COMBINING.items()
    for letter in letters
}
"""The letter by its notation."""

# Longer ones first, for AE& ends in a notation of its own; a cedilla has a letter behind it.
_NOTATION = re.compile(
    "|".join(
        re.escape(notation) + ("(?=[A-Za-z])" if notation.endswith(",") else "")
        for notation in sorted(LETTERS, key=len, reverse=True)
    )
)
_BRACKETS = re.compile("〔([^〔〕]*)〕")


def composed(text: str) -> str:
    """Return ``text`` with the accents in brackets put on their letters, and without the brackets.

    Brackets around text without accents stay as they are.
    """
    return _BRACKETS.sub(_letters, text)


def _letters(match: re.Match) -> str:
    letters, count = _NOTATION.subn(lambda notation: LETTERS[notation[0]], match[1])
    return letters if count else match[0]
