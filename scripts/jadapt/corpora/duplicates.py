"""Exact and near duplicates."""

from __future__ import annotations

from collections.abc import Sequence

from rensa import RMinHash, RMinHashLSH

from jadapt.corpora.documents import Document


def drop_exact(documents: Sequence[Document], language: str) -> list[Document]:
    """Return the documents whose text in ``language`` has not come before, in order."""
    seen: set[str] = set()
    kept = []
    for document in documents:
        text = getattr(document, language)
        if text not in seen:
            seen.add(text)
            kept.append(document)
    return kept


def shingles(text: str, width: int) -> set[str]:
    """Return the character n-grams of ``text``; a shorter text is its own only shingle."""
    return {text[start : start + width] for start in range(max(1, len(text) - width + 1))}


def drop_near(documents: Sequence[Document], language: str, settings: dict) -> list[Document]:
    """Return the documents that resemble no kept one before them, in order.

    MinHash with locality-sensitive hashing (Broder 1997) proposes candidates; the Jaccard
    similarity of their shingle sets, computed exactly, decides, so no document is dropped by an
    unlucky signature. The result depends on the order of the documents and the settings only.

    Args:
        documents: in the order of preference.
        language: which text is compared.
        settings: ``threshold`` (Jaccard similarity from which two texts are near duplicates),
            ``shingle`` (characters, by language), ``permutations`` and its divisor ``bands``.
    """
    threshold, width = settings["threshold"], settings["shingle"][language]
    permutations, bands = settings["permutations"], settings["bands"]
    index = RMinHashLSH(threshold, permutations, bands)
    kept: list[Document] = []
    sizes: list[int] = []
    for document in documents:
        own = shingles(getattr(document, language), width)
        signature = RMinHash(permutations, seed=0)
        signature.update(list(own))
        if any(
            _jaccard(own, shingles(getattr(kept[place], language), width)) >= threshold
            for place in index.query(signature)
            # Sets whose sizes differ by more than the threshold cannot be that similar.
            if threshold * max(sizes[place], len(own)) <= min(sizes[place], len(own))
        ):
            continue
        index.insert(len(kept), signature)
        kept.append(document)
        sizes.append(len(own))
    return kept


def _jaccard(first: set[str], second: set[str]) -> float:
    common = len(first & second)
    return common / (len(first) + len(second) - common)
