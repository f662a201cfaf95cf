"""What a notebook says of itself, in its metadata: a figure or a table, its caption, what it reads.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from jadapt.core.errors import UserError

KINDS = ("figure", "table")
# It becomes the name of a rule and of files.
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def facts(path: Path) -> dict[str, Any]:
    """Return ``kind``, ``caption``, ``tables`` and what else a notebook of the project declares.

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
        raise UserError(f"{path}: no whole notebook ({reason}); mend it or move it away") from error
    if not _NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a name of letters a-z, digits and _ is needed; rename it")
    _check(path, found)
    try:
        ast.parse("\n".join(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{path}: its code is not plain Python ({error})") from error
    return found


def _check(path: Path, found: Any) -> None:
    if not isinstance(found, dict):
        raise UserError(f"{path}: says nothing in metadata.jadapt; it is no figure or table")
    strings = [found.get("kind"), found.get("caption"), *_list(found, "tables")]
    if not all(isinstance(word, str) for word in [*strings, *_list(found, "parts")]):
        raise UserError(f"{path}: metadata.jadapt: kind, caption and names of tables are words")
    if found["kind"] not in KINDS:
        raise UserError(f"{path}: metadata.jadapt.kind: {found['kind']!r} is none of {KINDS}")


def _list(found: dict, key: str) -> list:
    value = found.get(key, [] if key == "parts" else None)
    return value if isinstance(value, list) else [None]


def read(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return what the notebooks of a folder say of themselves, and what is wrong with the others.

    Both by name; one that is broken stops no other.
    """
    found, broken = {}, {}
    for path in sorted(folder.glob("*.ipynb")):
        try:
            found[path.stem] = facts(path)
        except UserError as error:
            broken[path.stem] = str(error)
    return found, broken
