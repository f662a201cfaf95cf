"""The notebooks of figures and tables, and what each declares of itself.

A notebook says in its metadata, under ``jadapt``:

- ``kind``: ``figure`` or ``table``;
- ``tables``: the names of the tables that it reads (`jadapt.core.tables`; ``card``, ``claims`` or
  ``front_measures``).
  Its cell tagged ``parameters`` has a variable of each name, for a path, and ``output``, the path
  without an ending that it writes to;
- ``caption``: one sentence for the page and the report;
- ``alt``, of a figure: what it shows, for those who do not see it; by default the caption;
- ``parts``, only with ``card``: the parts of a GPU's benchmark that it needs.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jadapt.core.errors import UserError

KINDS = ("figure", "table")
# It becomes the name of a rule and of files.
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def declared(
    folder: Path, tables: Collection[str] | None = None, *, notes: bool = True
) -> dict[str, dict[str, Any]]:
    """Return what the notebooks of a folder declare, by name.

    One that declares nothing, or wrongly, is left out with a line on standard error: it must not
    stop what has nothing to do with it.

    Args:
        folder: of the notebooks.
        tables: the names that a notebook may read; any where not given.
        notes: whether to print these lines.
    """
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        try:
            found[path.stem] = facts(path, tables)
        except UserError as error:
            if notes:
                print(f"note: {error}; left out", file=sys.stderr)
    return found


def facts(path: Path, tables: Collection[str] | None = None) -> dict[str, Any]:
    """Return what one notebook declares.

    Args:
        path: the notebook.
        tables: the names that it may read; any where not given.

    Raises:
        UserError: it is broken, or a notebook of something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = content["cells"]
        found = content["metadata"].get("jadapt")
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:100]
        raise UserError(f"{path}: not a whole notebook ({reason})") from error
    if not _NAME.fullmatch(path.stem):
        raise UserError(f"{path}: its name needs to be of a-z, digits and _; rename it")
    _check(path, found, tables)
    try:
        ast.parse("\n".join(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{path}: its code is not plain Python ({error})") from error
    return found


def _check(path: Path, found: Any, tables: Collection[str] | None) -> None:
    at = f"{path}: 'jadapt' of its metadata"
    if not isinstance(found, dict):
        raise UserError(f"{at} is no mapping (kind, tables, caption)")
    for key, kind in (("kind", str), ("tables", list), ("caption", str)):
        if not isinstance(found.get(key), kind):
            raise UserError(f"{at} lacks '{key}'")
    if not (isinstance(found.get("alt", "-"), str) and found.get("alt", "-").strip()):
        raise UserError(f"{at}: 'alt' is no sentence; say in words what the figure shows")
    if not isinstance(found.get("parts", []), list):
        raise UserError(f"{at}: 'parts' is no list")
    if not all(isinstance(word, str) for word in [*found["tables"], *found.get("parts", [])]):
        raise UserError(f"{at}: names of tables and parts are words")
    if found["kind"] not in KINDS:
        raise UserError(f"{path}: its kind is '{found['kind']}', neither figure nor table")
    unknown = [name for name in found["tables"] if tables is not None and name not in tables]
    if unknown:
        raise UserError(f"{path}: it reads '{unknown[0]}', which is no table")
