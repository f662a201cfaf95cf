"""Which modules of the methods room a run uses, read from the sources without importing them."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

ROOM = Path(__file__).parent / "methods"
PREFIX = "jadapt.methods."
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
