"""The notebooks of figures and tables, and what each declares of itself.

A notebook says in its metadata, under ``jadapt``:

- ``kind``: ``figure`` or ``table``;
- ``tables``: the names of the tables that it reads (`jadapt.core.tables`, ``card`` or ``claims``).
  Its cell tagged ``parameters`` has a variable of each name, for a path, and ``output``, the path
  without an ending that it writes to;
- ``caption``: one sentence for the page and the report;
- ``parts``, only with ``card``: the parts of a GPU's benchmark that it needs.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

KINDS = ("figure", "table")


def declared(folder: Path, tables: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what the notebooks of a folder declare, by name.

    One that declares nothing, or wrongly, is left out with a line on standard error: it must not
    stop what has nothing to do with it.

    Args:
        folder: of the notebooks.
        tables: the names that a notebook may read.
    """
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        facts, fault = _read(path, tables)
        if fault:
            print(f"note: {folder.name}/{path.name}: {fault}; left out", file=sys.stderr)
        else:
            found[path.stem] = facts
    return found


def _read(path: Path, tables: Collection[str]) -> tuple[dict[str, Any], str]:
    """Return what a notebook declares, or why it cannot be used."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))["metadata"]["jadapt"]
    except (OSError, ValueError):
        return {}, "not a notebook (no JSON)"
    except (KeyError, TypeError):
        return {}, "its metadata has no 'jadapt' (kind, tables, caption)"
    if not isinstance(facts, dict):
        return {}, "'jadapt' of its metadata is no mapping (kind, tables, caption)"
    for key, kind in (("kind", str), ("tables", list), ("caption", str)):
        if not isinstance(facts.get(key), kind):
            return {}, f"'jadapt' of its metadata lacks '{key}'"
    if facts["kind"] not in KINDS:
        return {}, f"its kind is '{facts['kind']}', neither figure nor table"
    unknown = [name for name in facts["tables"] if name not in tables]
    return facts, f"it reads '{unknown[0]}', which is no table" if unknown else ""
