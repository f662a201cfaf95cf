"""Which sources a job depends on: their checksum, and the methods' modules that a run uses.

Read without importing them. The Snakefile does this on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
ROOM = Path(__file__).parent / "methods"
PREFIX = "jadapt.methods."
# Segmenters are in the room of text, which has many users who do not segment.
APART = "jadapt/text/segmentation/"
# What every run passes through.
SHARED = ("__init__", "adapter_files", "base", "loading", "registry", "strategy")


@lru_cache
def _imports(module: str) -> tuple[tuple[str, str], ...]:
    """Return what a module imports from its own room, as (name, module)."""
    tree = ast.parse((ROOM / f"{module}.py").read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX):
            origin = node.module.removeprefix(PREFIX)
            found += [(alias.asname or alias.name, origin) for alias in node.names]
    return tuple(found)


@lru_cache
def _registered() -> dict[str, str]:
    """Return the module of each name in the registry's two dictionaries."""
    origin = dict(_imports("registry"))
    tree = ast.parse((ROOM / "registry.py").read_text(encoding="utf-8"))
    return {
        key.value: origin[value.id]
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
        for key, value in zip(node.value.keys, node.value.values, strict=True)
    }


def of_entry(entry: dict) -> list[str]:
    """Return the file names that a run with this entry (``method``, ``continual``) uses, sorted."""
    names = [entry["method"], *entry.get("continual", {})]
    waiting = [_registered()[name] for name in names if name in _registered()]
    found = set(SHARED)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [origin for _, origin in _imports(module)]
    return sorted(f"{name}.py" for name in found)


@lru_cache
def _sources(part: str) -> tuple[str, ...]:
    """Return the files of a room, or the one file that ``part`` is, below ``scripts/``.

    Those of `APART` belong to no room: they are named by themselves.
    """
    path = SCRIPTS / part
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    names = (file.relative_to(SCRIPTS).as_posix() for file in files)
    return tuple(
        name for name in names if f"{part}/".startswith(APART) or not name.startswith(APART)
    )


@lru_cache
def _content(file: str) -> bytes:
    return hashlib.sha256((SCRIPTS / file).read_bytes()).digest()


@lru_cache
def checksum(*parts: str) -> str:
    """Return one checksum of the names and the content of sources, in any order.

    A job that has it among its parameters is run again when they change. A list of the same files
    among its inputs would do so too, but Snakemake looks at each input of each job several times.

    Args:
        parts: files and folders (whole rooms) below ``scripts/``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    digest = hashlib.sha256()
    for file in sorted({file for part in parts for file in _sources(part)}):
        digest.update(file.encode() + b"\0" + _content(file))
    return digest.hexdigest()[:16]
