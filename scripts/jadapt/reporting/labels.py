"""Names that readers see, kept in one place so that figures, tables and text say the same."""

from __future__ import annotations

from collections.abc import Iterable

BASE = "base"

# Order of appearance everywhere: the model before adaptation, then bounds, then methods.
METHODS = {
    BASE: "Base model",
    "sft": "Full fine-tuning",
    "lora": "LoRA",
    "dora": "DoRA",
    "houlsby": "Houlsby adapters",
    "prefix": "Prefix tuning",
    "ewc": "EWC",
    "gem": "GEM",
    "agem": "A-GEM",
    "den": "DEN",
    "replay": "Replay",
    "joint": "Joint training",
}

SCRIPTS = {
    "hiragana": "hiragana\nひらがな",
    "katakana": "katakana\nカタカナ",
    "kanji": "kanji\n漢字",
    "latin": "Latin\nABC",
    "digit": "digits\n123",
    "other": "other\n。、「」",
}

LANGUAGES = {"en": "English", "ja": "Japanese"}


def method_label(name: str) -> str:
    """Return the name of a method for readers; an unknown run keeps its own name."""
    return METHODS.get(name, name.replace("_", " "))


def domain_label(name: str) -> str:
    """Return the name of a domain for readers."""
    return name.replace("_", " ")


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort methods: the known ones in the order of `METHODS`, then the others by name."""
    known = list(METHODS)
    return sorted(
        set(methods), key=lambda name: (known.index(name) if name in known else len(known), name)
    )


def join_words(words: Iterable[str]) -> str:
    """Join words as English does: ``a``, ``a and b``, ``a, b and c``."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last
