"""The table of the corpora: one row for every source of every domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jadapt.corpora.scripts import NAMES
from jadapt.corpora.splits import SPLITS

COLUMNS = (
    "study",
    "domain",
    "language",
    "source",
    "licence",
    "available",
    "documents",
    *(f"{split}_documents" for split in SPLITS),
    "characters",
    "bytes",
    *NAMES,
    "attribution",
)
# Texts that a user writes: a spreadsheet would run what begins like a formula.
_WRITTEN = ("licence", "attribution")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe makes it text."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def corpora_rows(study: str, manifests: Iterable[dict]) -> list[dict[str, Any]]:
    """Return the rows, with the keys `COLUMNS`; script columns are numbers of characters."""
    rows = []
    for manifest in manifests:
        shared = {
            "study": study,
            "domain": manifest["domain"],
            "language": manifest["language"],
            "available": str(manifest["available"]).lower(),
        }
        for name, source in manifest["sources"].items():
            row = shared | source["characters_by_script"] | {"source": name}
            row |= {column: source[column] for column in COLUMNS if column in source}
            row |= {column: plain(row[column]) for column in _WRITTEN if column in row}
            rows.append({column: row[column] for column in COLUMNS})
    return rows
