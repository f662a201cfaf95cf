"""Clean text and drop what is not text: the policy of the corpora, each step with its count.

Order of steps: control characters, normalisation, reserved characters, white space, then the
filters on length, script and length ratio, exact duplicates, the cap, near duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import regex

from jadapt.corpora.documents import Document
from jadapt.corpora.spacing_marks import nfkc

RESERVED = "\u2581"
"""SentencePiece writes a space as this character, so a text that contains it cannot come back."""

_CONTROL = regex.compile(r"[\p{Cc}--[\t\n\r]]|\p{Cf}", regex.V1)
_FORMAT = regex.compile(r"\p{Cf}+")
_CC = regex.compile(r"[\p{Cc}--[\t\n]]", regex.V1)
_BREAK = regex.compile(
    r"(?<=[\p{Hiragana}\p{Katakana}\p{Han}ー、。])[^\S\n]*\n\s*"
    r"(?=[\p{Hiragana}\p{Katakana}\p{Han}ー、。])"
)
_LETTERS = regex.compile(r"\p{L}")
_OF_LANGUAGE = {
    "ja": regex.compile(r"[[\p{Hiragana}\p{Katakana}\p{Han}ー〆]&&\p{L}]", regex.V1),
    "en": regex.compile(r"[\p{Latin}&&\p{L}]", regex.V1),
}


class Cleaned(NamedTuple):
    """A text after cleaning, with how many characters of two kinds were taken out of it."""

    text: str
    control: int
    reserved: int


def clean_text(text: str, normalisation: str = "nfkc") -> Cleaned:
    """Return ``text`` cleaned; cleaning twice changes nothing more.

    Control characters (Cc) become spaces and format characters (Cf: zero-width spaces and joiners,
    soft hyphens, byte-order marks) vanish, except tab and line ends; then NFKC as of `nfkc`; U+2581
    becomes ``_``; a line break between two Japanese characters vanishes; other runs of white space
    become one space.

    Args:
        text: any text without lone surrogates.
        normalisation: ``nfkc`` or ``none``.
    """
    control = 0
    if not text.isprintable():
        control = len(_CONTROL.findall(text))
        text = _CC.sub(" ", _FORMAT.sub("", text.replace("\r\n", "\n")))
    if normalisation == "nfkc":
        text = nfkc(text)
    reserved = text.count(RESERVED)
    if reserved:
        text = text.replace(RESERVED, "_")
    if "\n" in text:
        text = _BREAK.sub("", text)
    return Cleaned(" ".join(text.split()), control, reserved)


def script_share(text: str, language: str) -> float:
    """Return the share of the letters that are of the language's scripts; 0 without letters.

    Japanese: kana and kanji. English: Latin.
    """
    letters = len(_LETTERS.findall(text))
    return len(_OF_LANGUAGE[language].findall(text)) / letters if letters else 0.0


class Ledger:
    """What each step of cleaning did, in order; written to the manifest as it stands."""

    def __init__(self, documents: int):
        self.steps: list[dict] = [{"step": "read", "removed": 0, "remaining": documents}]

    def note(self, step: str, documents: list[Document], **counts: int) -> None:
        """Add a step that leaves ``documents``."""
        removed = self.steps[-1]["remaining"] - len(documents)
        entry = {"step": step, "removed": removed, "remaining": len(documents)}
        self.steps.append(entry | counts)


def normalise(documents: list[Document], language: str, settings: dict, ledger: Ledger) -> None:
    """Clean both texts of every document in place; English domains keep only English."""
    changed = control = reserved = 0
    for document in documents:
        if language == "en":
            document.ja = None
        for field in ("ja", "en"):
            before = getattr(document, field)
            if before is None:
                continue
            after = clean_text(before, settings["normalisation"])
            setattr(document, field, after.text or None)
            changed += after.text != before
            control += after.control
            reserved += after.reserved
    ledger.note(
        "normalisation",
        documents,
        texts_changed=changed,
        control_characters=control,
        reserved_characters=reserved,
    )


def filter_documents(
    documents: list[Document], language: str, settings: dict, ledger: Ledger
) -> list[Document]:
    """Apply the filters to the text in the domain's language; return what passes them all."""

    def text(document: Document) -> str:
        return getattr(document, language) or ""

    low, high = settings["length_ratio"]
    share, shortest = settings["min_script_share"][language], settings["min_characters"][language]
    filters: Iterable[tuple[str, Callable[[Document], bool]]] = (
        ("empty", lambda document: bool(text(document))),
        ("too_short", lambda document: len(text(document)) >= shortest),
        ("too_long", lambda document: len(text(document)) <= settings["max_characters"]),
        ("script_share", lambda document: script_share(text(document), language) >= share),
        ("length_ratio", lambda document: _plausible(document, low, high)),
    )
    for step, keep in filters:
        documents = [document for document in documents if keep(document)]
        ledger.note(step, documents)
    return documents


def _plausible(document: Document, low: float, high: float) -> bool:
    """Tell whether the lengths of a pair fit: Japanese over English characters within bounds."""
    if not document.ja or not document.en:
        return True
    return low <= len(document.ja) / len(document.en) <= high
