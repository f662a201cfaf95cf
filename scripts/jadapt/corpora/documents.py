"""What an extractor yields, and the record of what it could not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from jadapt.core.errors import UserError

LANGUAGES = ("ja", "en")
REPLACEMENT = "\ufffd"
"""Stands in for undecodable bytes; a block that contains it is never used."""


class Member(NamedTuple):
    """One file of a source: a member of an archive, or a file of its own."""

    name: str
    data: bytes


@dataclass(slots=True)
class Document:
    """One unit of text; ``key`` groups documents that must share a split (a work of literature)."""

    source: str
    ja: str | None = None
    en: str | None = None
    key: str | None = None


@dataclass
class Reading:
    """Counts of one source while it is read: records, what was left out and why, what is broken.

    Attributes:
        source: name of the source, for messages.
        language: language of the domain that reads it.
        records: records met, broken ones included.
        counts: records left out or changed, by reason.
        broken: ``(file, line, reason)`` of each record that cannot be read.
    """

    source: str
    language: str
    records: int = 0
    counts: Counter = field(default_factory=Counter)
    broken: list[tuple[str, int, str]] = field(default_factory=list)

    def document(self, ja: str | None = None, en: str | None = None, key: str | None = None):
        """Return a `Document` of this source."""
        return Document(self.source, ja, en, key)

    def add_broken(self, file: str, line: int, reason: str) -> None:
        """Note a broken record (the caller counts it among ``records``)."""
        self.broken.append((file, line, reason))

    @property
    def broken_share(self) -> float:
        """Share of the records that are broken, in [0, 1]."""
        return len(self.broken) / max(self.records, len(self.broken), 1)

    def check(self, limit: float) -> None:
        """Raise `UserError` if more than the share ``limit`` of the records is broken."""
        if self.broken_share > limit:
            file, line, reason = self.broken[0]
            raise UserError(
                f"source {self.source}: {len(self.broken)} of {self.records} records are broken "
                f"({self.broken_share:.1%}; at most {limit:.0%} is allowed), the first at "
                f"{file}:{line}: {reason}; mend the file, or leave the source out"
            )


def decoded_lines(member: Member, reading: Reading, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a member without line ends.

    A line that is not valid in ``encoding`` is noted as broken, and comes with `REPLACEMENT` for
    its bad bytes, so that the places of the other lines do not shift.
    """
    data = member.data.removeprefix(b"\xef\xbb\xbf") if encoding == "utf-8" else member.data
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as error:
            reading.add_broken(member.name, number, _undecodable(error))
            line = raw.decode(encoding, "replace")
        yield line.removesuffix("\r")


def _undecodable(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"not valid {error.encoding} (byte 0x{byte:02x} at column {error.start + 1})"
