"""Whether the texts of a task occur in text that models were trained on.

The unit is the word in English and the character in Japanese, which is written without spaces,
after normalisation: NFKC, lower case, nothing but letters and digits. An item is contaminated where
a run of `RUN` units of its text occurs in one training document; a shorter text, where it occurs as
a whole. Below `LEAST` units an occurrence says nothing, and the item is counted apart.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import regex

RUN = {"en": 13, "ja": 26}
LEAST = {"en": 6, "ja": 12}

_WORDS = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def normalised(text: str) -> str:
    """Return the words of a text in one form, a space between them."""
    return " ".join(_WORDS.findall(unicodedata.normalize("NFKC", text).lower()))


def units(text: str, language: str) -> tuple[str, ...] | str:
    """Return the units of a text: words, or the string of its characters."""
    plain = normalised(text)
    return tuple(plain.split(" ")) if language == "en" else plain.replace(" ", "")


class Index:
    """The texts of one task, to be looked for in training text.

    ``found`` holds the places of the texts that occurred, ``too_short`` counts those of which it
    would say nothing.
    """

    def __init__(self, texts: Sequence[str], language: str) -> None:
        self.language = language
        self.length, self.least = RUN[language], LEAST[language]
        self.too_short = 0
        self.found: set[int] = set()
        self._runs: dict[Sequence, set[int]] = defaultdict(set)
        # Short texts by their first units; the rest is compared where these occur.
        self._starts: dict[Sequence, list[tuple[Sequence, int]]] = defaultdict(list)
        for number, text in enumerate(texts):
            own = units(text, language)
            if len(own) < self.least:
                self.too_short += 1
            elif len(own) < self.length:
                self._starts[own[: self.least]].append((own, number))
            else:
                for place in range(len(own) - self.length + 1):
                    self._runs[own[place : place + self.length]].add(number)

    def look_through(self, documents: Iterable[str]) -> None:
        """Look for the items in every document."""
        for document in documents:
            own = units(document, self.language)
            for place in range(len(own) - self.least + 1):
                run = own[place : place + self.length]
                if run in self._runs:
                    self.found |= self._runs[run]
                for short, number in self._starts.get(own[place : place + self.least], ()):
                    if own[place : place + len(short)] == short:
                        self.found.add(number)
