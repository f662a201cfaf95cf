"""Registries of classes that declare a key, found by searching sources and loaded when used.

A registered class is a class with a literal ``key`` in its body, in a module of a given package, or
an entry point of an installed package. Nothing lists them: the sources are searched for the keys
without importing them, so that a class of one run does not load, or break, those of others.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jadapt.core.errors import UserError, nearest
from jadapt.core.paths import PACKAGE, SCRIPTS


@dataclass(frozen=True)
class Place:
    """Where a registered class is defined."""

    module: str
    name: str


class Registry(Mapping[str, type[Any]]):
    """The registered classes of one kind, by key; looking one up imports its module.

    Args:
        kind: what its members are called in messages (``method``).
        places: modules and packages below ``jadapt`` that are searched, packages with all theirs.
        group: the entry points of installed packages that add to them; an entry point's name is
            the key of its class.
        required: class attributes that a member has to declare, itself or by a base class that is
            no member: what says what a class is must not be that of another.
        refuse: returns what is wrong with a member, as the end of a sentence, or None.
    """

    def __init__(
        self,
        kind: str,
        places: tuple[str, ...],
        group: str,
        required: tuple[str, ...],
        refuse: Callable[[type], str | None] = lambda member: None,
    ):
        self.kind = kind
        self.places = places
        self.group = group
        self.required = required
        self.refuse = refuse
        self._loaded: dict[str, type[Any]] = {}

    @cached_property
    def index(self) -> dict[str, Place]:
        """Every key with its place, in the order of the files.

        Raises:
            UserError: two classes have the same key.
        """
        found: dict[str, Place] = {}
        for key, place in [*self._own(), *self._installed()]:
            if key in found:
                raise UserError(
                    f"{place.module}.{place.name}: key '{key}' is that of {found[key].module}."
                    f"{found[key].name} too; give one of the two {self.kind} classes another"
                )
            found[key] = place
        return found

    def _own(self) -> Iterator[tuple[str, Place]]:
        for place in self.places:
            path = PACKAGE.joinpath(*place.split(".")[1:])
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
                module = ".".join(file.relative_to(SCRIPTS).with_suffix("").parts)
                for name, key in declared_keys(file):
                    yield key, Place(module.removesuffix(".__init__"), name)

    def _installed(self) -> Iterator[tuple[str, Place]]:
        for point in entry_points(group=self.group):
            yield point.name, Place(point.module, point.attr)

    def __getitem__(self, key: str) -> type[Any]:
        if key not in self.index:
            raise KeyError(key)
        if key not in self._loaded:
            self._loaded[key] = self._load(key)
        return self._loaded[key]

    def _load(self, key: str) -> type[Any]:
        place = self.index[key]
        try:
            found: Any = getattr(importlib.import_module(place.module), place.name)
        # Whatever goes wrong in somebody else's package.
        except Exception as error:
            raise UserError(
                f"{place.module}: {self.kind} '{key}' cannot be loaded "
                f"({type(error).__name__}: {error}); "
                "install what it needs, or remove the package that declares it"
            ) from error
        if getattr(found, "key", None) != key:
            raise UserError(
                f"{place.module}.{place.name}: registered as {self.kind} '{key}', but its key is "
                f"{getattr(found, 'key', None)!r}; make them the same"
            )
        for attribute in self.required:
            if _declared(found, attribute) in (None, ""):
                raise UserError(
                    f"{place.module}.{place.name}: {self.kind} '{key}' declares no `{attribute}`; "
                    "add it to the class (docs/extending.md)"
                )
        if fault := self.refuse(found):
            raise UserError(f"{place.module}.{place.name}: {self.kind} '{key}': {fault}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def get_or_refuse(self, key: str, where: str) -> type[Any]:
        """Return the class of a key.

        Raises:
            UserError: there is none; the message begins with ``where``, the place of the key.
        """
        if key not in self.index:
            raise UserError(f"{where}: unknown {self.kind} '{key}'{nearest(key, self.index)}")
        return self[key]

    def module(self, key: str) -> str:
        """Return the module of a key's class, without importing it."""
        return self.index[key].module


def _declared(member: type, attribute: str) -> Any:
    """Return a class attribute, unless it is that of another registered class."""
    for base in member.__mro__:
        another = base is not member and vars(base).get("key")
        if attribute in vars(base) and not another:
            return vars(base)[attribute]
    return None


def declared_keys(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the classes of a source that declare a literal ``key``, as (class, key)."""
    for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id="key")], value=ast.Constant(value=str(key)))
                    | ast.AnnAssign(target=ast.Name(id="key"), value=ast.Constant(value=str(key)))
                ):
                    if key:
                        yield node.name, key
