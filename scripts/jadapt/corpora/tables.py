"""The table of the corpora: one row for every source of every domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jadapt.core.tables import CORPORA


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
            rows.append({column: row[column] for column in CORPORA.header})
    return rows
