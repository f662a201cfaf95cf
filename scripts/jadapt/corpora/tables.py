"""The table of the corpora: one row for every source of every domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jadapt.core.tables import CORPORA

# Texts that a user writes: a spreadsheet would run what begins like a formula.
_WRITTEN = ("licence", "attribution")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe makes it text."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def corpora_rows(study: str, manifests: Iterable[dict]) -> list[dict[str, Any]]:
    """Return the rows of `jadapt.core.tables.CORPORA`."""
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
            row |= {column: source[column] for column in CORPORA.header if column in source}
            row |= {column: plain(row[column]) for column in _WRITTEN if column in row}
            rows.append({column: row[column] for column in CORPORA.header})
    return rows
