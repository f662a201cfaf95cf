"""Where each value of a configuration was written, for messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jadapt.config.yaml_files import Document, Keys
from jadapt.core.errors import UserError


@dataclass(frozen=True)
class Origin:
    """A configuration's name, and file and line of the values that it consists of.

    Args:
        name: what is named where no line is known: the file, or the files.
        places: ``file:line`` by the keys that lead to a value.
    """

    name: str
    places: Mapping[Keys, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def at(self, keys: Sequence[str | int]) -> str:
        """Return file and line of a value, or of the nearest that holds it."""
        keys = tuple(keys)
        while keys:
            if keys in self.places:
                return self.places[keys]
            keys = keys[:-1]
        return self.name

    def of(self, dotted: str) -> str:
        """Return file and line of a key written as ``a.b.0``."""
        return self.at([int(part) if part.isdigit() else part for part in dotted.split(".")])

    def refusal(self, dotted: str, message: str) -> UserError:
        """Return the error for a key; the message begins with what is wrong."""
        return UserError(f"{self.of(dotted)}: {dotted}: {message}")


def of_document(document: Document) -> Origin:
    """Return the origin of a single file."""
    return Origin(
        str(document.path), {keys: f"{document.path}:{n}" for keys, n in document.lines.items()}
    )


def as_origin(origin: str | Origin) -> Origin:
    """Return an origin; a mere name knows no lines."""
    return origin if isinstance(origin, Origin) else Origin(origin)
