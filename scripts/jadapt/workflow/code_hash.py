"""Checksums of the code that a job runs, from the import graph of its script.

A rule has the checksum among its ``params``, so that an edit of any module that its script imports,
however far down, runs it again, and an edit of any other module does not. Nothing is imported to
find this out: the sources are parsed. What cannot change a result is left out of the checksum:
comments, docstrings, blank lines, imports for type checkers, and, unless asked for, how things are
presented (labels, colours, paragraphs: see `PRESENTATION`).

Methods, strategies and whatever else is registered by key are loaded by name, so no import leads to
them: a rule names the modules of its own run.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jadapt.core.files import atomic
from jadapt.core.paths import PACKAGE, SCRIPTS

# Declarations of registered classes, and arguments of pydantic's Field, that only readers see.
PRESENTATION = frozenset({
    "label", "family", "order", "look", "summary", "paragraph", "paragraph_after", "citation",
    "bibtex", "proper_name", "stores", "processes", "benchmarked",
})  # fmt: skip
DOCUMENTATION = frozenset({"description", "title", "examples"})
# Parsing the package takes half a second, in each call of Snakemake.
CACHE = Path(".cache/code_hash.json")
# Of the entries in the cache; to be raised when what is left out of a checksum changes.
VERSION = 2


@dataclass(frozen=True)
class Source:
    """One source file: what it computes, how it presents it, and the names that it imports."""

    computation: str
    presentation: str
    imports: tuple[str, ...]


def checksum(*parts: str, presentation: bool = False) -> str:
    """Return one checksum of everything that the named sources are and import, in any order.

    Args:
        parts: scripts and notebooks (``train.py``, ``../notebooks/results.ipynb``, below
            ``scripts/``), or modules (``jadapt.methods.peft.lora``).
        presentation: whether labels, colours and paragraphs of registered classes count.

    Raises:
        FileNotFoundError: there is no such file.
        SyntaxError: a source cannot be parsed.
    """
    digest = hashlib.sha256()
    for name, path in sorted(closure(*parts).items()):
        source = _source(path)
        text = source.presentation if presentation else source.computation
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:16]


@lru_cache
def closure(*parts: str) -> dict[str, Path]:
    """Return the file of every source that the named ones reach by imports, by its name.

    Only the project's own package counts, and packages that ``parts`` name modules of; installed
    packages are recorded by the lock file.
    """
    tops = {PACKAGE.name, *(part.partition(".")[0] for part in parts if not _is_file(part))}
    found: dict[str, Path] = {}
    waiting = list(parts)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = (SCRIPTS / name) if _is_file(name) else _file_of(name)
        if path is None:
            if name in parts:
                raise FileNotFoundError(f"{name}: no such module")
            continue
        found[name] = path
        # Importing a module runs the packages that it lies in.
        head, _, _ = name.rpartition(".")
        if not _is_file(name) and head:
            waiting.append(head)
        waiting += [other for other in _source(path).imports if other.partition(".")[0] in tops]
    return found


def _is_file(part: str) -> bool:
    return part.endswith((".py", ".ipynb"))


@lru_cache
def _file_of(module: str) -> Path | None:
    """Return the file of a module, or None where the name is an attribute of one."""
    top, *rest = module.split(".")
    if top == PACKAGE.name:
        folder: Path | None = PACKAGE
    else:
        spec = PathFinder.find_spec(top)
        if spec is None or spec.origin is None:
            return None
        if not rest:
            return Path(spec.origin)
        locations = list(spec.submodule_search_locations or [])
        folder = Path(locations[0]) if locations else None
    if folder is None:
        return None
    path = folder.joinpath(*rest)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (rest or candidate.name == "__init__.py") and candidate.is_file():
            return candidate
    return None


@lru_cache
def _source(path: Path) -> Source:
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    known = _cache().get(key)
    if known is None:
        source = _parsed(content, path)
        _remember(key, source)
        return source
    return Source(known[0], known[1], tuple(known[2]))


def _parsed(content: bytes, path: Path) -> Source:
    text = content.decode("utf-8")
    if path.suffix == ".ipynb":
        text = _code_of_notebook(text)
    tree = ast.parse(text, filename=str(path))
    imports = tuple(sorted(set(_imports(tree))))
    tree = _WithoutDocumentation().visit(tree)
    presentation = _digest(tree)
    computation = _digest(_WithoutPresentation().visit(tree))
    return Source(computation, presentation, imports)


def _digest(tree: ast.AST) -> str:
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _code_of_notebook(text: str) -> str:
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a source may import: `from a import b` gives ``a`` and ``a.b``."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


class _WithoutDocumentation(ast.NodeTransformer):
    """Drops docstrings, imports for type checkers, and what describes a field of a model."""

    def _body(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        body = node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] if isinstance(body[0].value.value, str) else body
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _body

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if _is_type_checking(node.test) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "Field":
            node.keywords = [word for word in node.keywords if word.arg not in DOCUMENTATION]
        return node


class _WithoutPresentation(ast.NodeTransformer):
    """Drops the declarations of a class that only readers see."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.body = [part for part in node.body if not _is_presentation(part)]
        return node


def _is_presentation(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return bool(names) and set(names) <= PRESENTATION


@lru_cache
def _cache() -> dict[str, tuple]:
    """Read what earlier calls found, by the checksum of the source; anything odd is no entry."""
    try:
        content = json.loads(CACHE.read_text(encoding="utf-8"))
        entries = {key: tuple(entry) for key, entry in content["sources"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return entries if content["version"] == VERSION else {}


_new: dict[str, tuple] = {}


def _remember(key: str, source: Source) -> None:
    _new[key] = (source.computation, source.presentation, source.imports)


def save_cache() -> None:
    """Keep what was parsed for the next call; a folder that cannot be written to keeps nothing."""
    if not _new:
        return
    entries = {**_cache(), **_new}
    try:
        CACHE.parent.mkdir(exist_ok=True)
        with atomic(CACHE) as temporary:
            temporary.write_text(json.dumps({"version": VERSION, "sources": entries}))
    except OSError as error:
        if os.environ.get("JADAPT_DEBUG"):
            raise error
    _new.clear()
