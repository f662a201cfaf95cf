"""What an extractor yields, and the record of what it could not read."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from jadapt.core.errors import UserError

LANGUAGES = ("ja", "en")

# Half a surrogate pair is in no decoded text, so it can stand for bytes that are none: unlike
# U+FFFD, which a text may have of its own. The number of a fault is written in base 1,024.
_MARK = re.compile("\udc00([\ud800-\udbff]+)")
_UNDECODED = re.compile("\udcff+")
_BASE = 0x400
MARKED = "jadapt.marked"
"""How to decode what may not be text: an error handler of Python's codecs."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(MARKED, _mark)


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
    _faults: list[tuple[str, int, str]] = field(default_factory=list, repr=False)

    def document(self, ja: str | None = None, en: str | None = None, key: str | None = None):
        """Return a `Document` of this source."""
        return Document(self.source, ja, en, key)

    def add_broken(self, file: str, line: int, reason: str) -> None:
        """Note a broken record (the caller counts it among ``records``)."""
        self.broken.append((printable(file), line, printable(reason)))

    def undecodable(self, *texts: str) -> bool:
        """Tell whether a record has bytes that could not be decoded; if so, note it as broken.

        It is noted once, at the first such line of it.

        Args:
            texts: what the record is made of, as `decoded_lines` gave it.
        """
        if not self._faults:
            return False
        mark = next(filter(None, map(_MARK.search, texts)), None)
        if mark is None:
            return False
        number = 0
        for digit in mark[1]:
            number = number * _BASE + ord(digit) - 0xD800
        self.add_broken(*self._faults[number])
        return True

    def _mark(self, fault: tuple[str, int, str]) -> str:
        """Return what stands for bytes that cannot be decoded, and remember where they are."""
        number, digits = len(self._faults), ""
        self._faults.append(fault)
        while number or not digits:
            number, digit = divmod(number, _BASE)
            digits = chr(0xD800 + digit) + digits
        return f"\udc00{digits}"

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


def has_mark(text: str) -> bool:
    """Tell whether `decoded_lines` has put a mark into ``text`` for bytes it could not decode."""
    return not text.isascii() and _MARK.search(text) is not None


def printable(text: str) -> str:
    """Return ``text`` with halves of surrogate pairs written out, so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


def decoded_lines(member: Member, reading: Reading, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a member without line ends; only LF and CRLF end a line.

    In a line that is not valid in ``encoding`` a mark stands for the bad bytes, so that the places
    of the other lines do not shift. The record that such a line belongs to is to be asked for with
    `Reading.undecodable`.
    """
    data = member.data.removeprefix(b"\xef\xbb\xbf") if encoding == "utf-8" else member.data
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as error:
            mark = reading._mark((member.name, number, _undecodable(error)))
            line = _UNDECODED.sub(mark, raw.decode(encoding, MARKED))
        yield line.removesuffix("\r")


def _undecodable(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start]
    return f"not valid {error.encoding} (byte 0x{byte:02x} at column {error.start + 1})"
