"""Sums over the scored text of one corpus, from which every metric of a text follows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

# The paper reports Japanese by these; Latin letters, digits and the rest are one class.
REPORTED_SCRIPTS = ("hiragana", "katakana", "kanji", "other")


@dataclass
class Tally:
    """Sums over the scored tokens; the characters are counted by script."""

    nats: float = 0.0
    tokens: int = 0
    bytes: int = 0
    characters: Counter = field(default_factory=Counter)
    correct: Counter = field(default_factory=Counter)
    script_nats: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    # Of each document: its place, its surprise in bits, its UTF-8 bytes.
    documents: list[tuple[int, float, int]] = field(default_factory=list)

    @property
    def bits(self) -> float:
        """The surprise of the text."""
        return self.nats / math.log(2)
