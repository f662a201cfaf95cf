"""Title, authors, date, repository and licence of the paper and the page, from ``CITATION.cff``."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jadapt.config import yaml_files
from jadapt.core.errors import UserError

# Names of licences for readers, by SPDX identifier; of others the identifier stands.
LICENCES = {"Apache-2.0": "Apache License 2.0"}


@dataclass(frozen=True)
class FrontMatter:
    """What a paper says of itself before it begins.

    ``repository`` is an address and ``date`` a day; either is empty where the file has none.
    """

    title: str
    authors: tuple[str, ...]
    description: str
    keywords: tuple[str, ...]
    licence: str
    repository: str
    date: datetime.date | None

    @property
    def line(self) -> list[str]:
        """Date, repository and licence, as far as they are known."""
        day = f"{self.date.day} {self.date:%B %Y}" if self.date else ""
        return [words for words in (day, self.repository, self.licence) if words]

    @property
    def day(self) -> str:
        """The date as an argument of Typst's ``document``."""
        if self.date is None:
            return "none"
        return f"datetime(year: {self.date.year}, month: {self.date.month}, day: {self.date.day})"


def read(path: str | Path) -> FrontMatter:
    """Read a file of the Citation File Format.

    Raises:
        UserError: it lacks a title, an author, a licence or an abstract, or its date is none.
    """
    found = yaml_files.read_yaml(path)
    for key in ("title", "authors", "license", "abstract"):
        if not found.get(key):
            raise UserError(f"{path}: key '{key}' is missing; the paper names it on page one")
    licence = str(found["license"])
    return FrontMatter(
        title=_one_line(found["title"]),
        authors=tuple(_author(author, path) for author in found["authors"]),
        description=_one_line(found["abstract"]),
        keywords=tuple(map(str, found.get("keywords", []))),
        licence=LICENCES.get(licence, licence),
        repository=str(found.get("repository-code") or found.get("url") or ""),
        date=_date(found.get("date-released"), path),
    )


def _one_line(words: str) -> str:
    return " ".join(str(words).split())


def _author(entry: Any, path: str | Path) -> str:
    parts = entry if isinstance(entry, dict) else {}
    name = parts.get("name") or " ".join(
        str(parts[key]) for key in ("given-names", "name-particle", "family-names") if key in parts
    )
    if not name:
        raise UserError(f"{path}: authors: an author without a name; give 'name' or 'family-names'")
    return str(name)


def _date(value: Any, path: str | Path) -> datetime.date | None:
    if value is None or isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise UserError(f"{path}: date-released: '{value}' is no date such as 2026-01-31") from None
