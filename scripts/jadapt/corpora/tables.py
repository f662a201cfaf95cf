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
            rows.append({column: row[column] for column in COLUMNS})
    return rows
