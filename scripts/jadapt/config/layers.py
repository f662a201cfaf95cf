"""A study put together from its files: what each extends, later files, and ``--config`` values.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jadapt.config import yaml_files
from jadapt.config.origins import Origin
from jadapt.config.yaml_files import Document, Keys
from jadapt.core.errors import UserError

EXTENDS = "extends"
COMMAND_LINE = "--config"


@dataclass
class Layered:
    """A configuration as far as it is put together, and where each value was written."""

    name: str
    content: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, str] = field(default_factory=dict)

    @property
    def origin(self) -> Origin:
        """Where the values were written, for messages."""
        return Origin(self.name, self.places)

    def put(self, content: dict[str, Any], places: dict[Keys, str]) -> None:
        """Lay a configuration over this one; see `merged`."""
        for keys in _gone(self.content, content):
            self.places = {k: v for k, v in self.places.items() if k[: len(keys)] != keys}
        self.content = merged(self.content, content)
        self.places |= places


def read(files: Sequence[str | Path], values: Iterable[str] = ()) -> Layered:
    """Read a study.

    Args:
        files: its files; a later one changes what an earlier one says, as for Snakemake.
        values: what ``--config`` says over all of them, as ``key=value``.

    Raises:
        UserError: a file is not what it should be, or extends one that is absent or itself.
    """
    study = Layered(", ".join(map(str, files)))
    documents: dict[Path, Document] = {}
    for file in files:
        for document in _chain(Path(file), ()):
            # A file that extends an earlier one of the command line is what it is alone.
            documents.setdefault(document.path.resolve(), document)
    for document in documents.values():
        own = {key: value for key, value in document.content.items() if key != EXTENDS}
        study.put(own, {keys: f"{document.path}:{line}" for keys, line in document.lines.items()})
    for value in values:
        content = _value(value)
        study.put(content, dict.fromkeys(_paths(content), COMMAND_LINE))
    return study


def _chain(path: Path, above: tuple[Path, ...]) -> list[Document]:
    """Return what a file extends, and the file itself; ``above`` are the files that led to it."""
    document = yaml_files.read_document(path)
    if EXTENDS not in document.content:
        return [document]
    named, at = document.content[EXTENDS], f"{path}:{document.lines[(EXTENDS,)]}: {EXTENDS}"
    if not isinstance(named, str) or not named:
        raise UserError(f"{at}: {named!r} is no name of a file; write the path of one study")
    base = _relative(path.parent / named)
    chain = (*above, path)
    if any(base.resolve() == each.resolve() for each in chain):
        names = " -> ".join(map(str, [*chain, base]))
        raise UserError(f"{at}: leads in a circle ({names})")
    if not base.exists():
        raise UserError(f"{at}: {base}: no such file; the path is relative to {path.parent}")
    if "study" not in document.content:
        raise UserError(
            f"{path}: missing key 'study'; a study that extends another has a name of its own"
        )
    return [*_chain(base, chain), document]


def _relative(path: Path) -> Path:
    """Return a path without ``..``, from here where it lies below."""
    return Path(os.path.relpath(path)) if _below_here(path) else path


def _below_here(path: Path) -> bool:
    return path.resolve().is_relative_to(Path.cwd().resolve())


def _value(text: str) -> dict[str, Any]:
    """Return what ``key=value`` says; the value is YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"{COMMAND_LINE}: {text!r} is not key=value")
    try:
        document = yaml_files.parse(f"{key.strip()}: {value or 'null'}", COMMAND_LINE)
    except UserError as error:
        raise UserError(re.sub(r"^--config:\d+:", f"{COMMAND_LINE}:", str(error))) from None
    if EXTENDS in document.content:
        raise UserError(f"{COMMAND_LINE}: {EXTENDS}: stands in a file of a study")
    return document.content


def _paths(content: Any, at: Keys = ()) -> Iterable[Keys]:
    items: Iterable = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    for key, value in items:
        yield (*at, key)
        yield from _paths(value, (*at, key))


def merged(old: dict, new: dict) -> dict:
    """Return ``old`` with the values of ``new``, section by section, as Snakemake merges files.

    A null in ``new`` takes away what ``old`` has there.
    """
    result = copy.deepcopy(old)
    for key, value in new.items():
        if value is None and result.get(key) is not None:
            del result[key]
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _gone(old: dict, new: dict, at: Keys = ()) -> Iterable[Keys]:
    """Yield where ``new`` replaces or removes something of ``old`` as a whole."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            yield from _gone(old[key], value, (*at, key))
        elif key in old:
            yield (*at, key)
