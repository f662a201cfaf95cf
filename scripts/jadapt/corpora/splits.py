"""Divide documents into train, validation and test by hash, so that nothing leaks between them.

The hash is taken of the English string where there is one: a sentence with several translations, or
one that occurs in several domains, falls into the same split everywhere. Nothing but the string and
the seed enters the hash, so adding data moves no document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jadapt.core.files import read_jsonl
from jadapt.corpora.cleaning import clean_text
from jadapt.corpora.documents import Document

SPLITS = ("train", "validation", "test")
_WORD = 8


class Placement(NamedTuple):
    """Where a document goes: ``share`` in [0, 1) decides the split, ``order`` the place in it."""

    share: float
    order: int


def normalised(text: str) -> str:
    """Return the form under which two strings are the same: NFKC, folded case, single spaces."""
    return clean_text(clean_text(text).text.casefold()).text


def split_key(document: Document) -> str:
    """Return what is hashed: the English string, else the document's key, else its text."""
    if document.en:
        return "en\0" + normalised(document.en)
    if document.key:
        return f"key\0{document.source}\0{document.key}"
    return "ja\0" + normalised(document.ja or "")


def placement(document: Document, seed: int = 0) -> Placement:
    """Return the placement of a document; equal for equal English strings and seeds.

    The two numbers come from different bytes of the hash, so a file sorted by ``order``, or any
    prefix of it, is an unbiased sample. Documents that only share a key (paragraphs of one work)
    get the share of the key but an order of their own, so that a prefix draws from every work.
    """
    digest = _digest(split_key(document), seed)
    own = digest if document.en or not document.key else _digest(document.ja or "", seed)
    share = int.from_bytes(digest[:_WORD], "big") / 2 ** (8 * _WORD)
    return Placement(share, int.from_bytes(own[_WORD : 2 * _WORD], "big"))


def _digest(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()


def split_of(share: float, shares: Mapping[str, float]) -> str:
    """Return the split for a ``share`` in [0, 1), given the shares of validation and test."""
    if share < shares["test"]:
        return "test"
    return "validation" if share < shares["test"] + shares["validation"] else "train"


def leaks(paths_by_domain: Mapping[str, str | Path]) -> list[str]:
    """Return every violation of the split rules, as text; an empty list when all is well.

    No document id and no Japanese text may be in two splits of a domain, and no English string (as
    `normalised`) in two splits of any domains. Texts are compared by hash, to hold little memory.

    Args:
        paths_by_domain: directory with the three split files, by domain.
    """
    found: list[str] = []
    # By digest of the text: the split that it was first seen in, and where.
    english: dict[bytes, tuple[str, str]] = {}
    for domain, directory in paths_by_domain.items():
        ids: dict[bytes, tuple[str, str]] = {}
        japanese: dict[bytes, tuple[str, str]] = {}
        for split in SPLITS:
            for document in read_jsonl(Path(directory) / f"{split}.jsonl"):
                here = f"{domain}/{split}: {document['id']}"
                checks = [("document id", ids, document["id"])]
                if document.get("ja"):
                    checks.append(("Japanese text", japanese, document["ja"]))
                if document.get("en"):
                    checks.append(("English string", english, normalised(document["en"])))
                for what, seen, text in checks:
                    first = seen.setdefault(_digest(text, 0)[:_WORD], (split, here))
                    if first[0] != split:
                        found.append(f"{what} of {here} is also in {first[1]}")
    return found
