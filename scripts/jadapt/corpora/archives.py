"""Read the members of an archive that match a pattern, without unpacking it to disk."""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

from jadapt.corpora.documents import Member
from jadapt.errors import UserError

Entry = tuple[str, int, Callable[[], IO[bytes]]]
"""Name and size of a member, and how to open it."""

MAX_MEMBER_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 1024 * 2**20


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """Translate a path pattern: ``*`` and ``?`` stay in one directory, ``**/`` spans any depth."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    special = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(special.get(part) or re.escape(part) for part in parts))


def matches(name: str, globs: Iterable[str]) -> bool:
    """Tell whether a path matches any of the patterns."""
    return any(pattern(glob).fullmatch(name) for glob in globs)


def read_archive(path: Path, globs: Iterable[str], exclude: Iterable[str] = ()) -> list[Member]:
    """Return the matching members of a ``.tar*``, ``.zip`` or ``.whl`` file, sorted by name.

    Raises:
        UserError: the archive is damaged, or a member is larger than it may be.
    """
    globs, exclude = tuple(globs), tuple(exclude)
    members, total = [], 0
    try:
        entries = _zip(path) if path.suffix in (".zip", ".whl") else _tar(path)
        for name, size, stream in entries:
            if not matches(name, globs) or matches(name, exclude):
                continue
            total += size
            if size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
                raise UserError(
                    f"{path}: {name}: {size:,} bytes; more than this project reads from an archive "
                    f"({MAX_MEMBER_BYTES:,} a member, {MAX_TOTAL_BYTES:,} in all)"
                )
            members.append(Member(name, stream().read(size)))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise UserError(f"{path}: not a readable archive ({error})") from error
    return sorted(members)


def _tar(path: Path) -> Iterator[Entry]:
    with tarfile.open(path, "r|*") as archive:
        for entry in archive:
            if entry.isfile():
                yield entry.name, entry.size, lambda entry=entry: _tar_stream(archive, entry)


def _tar_stream(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(entry)
    if stream is None:
        raise tarfile.TarError(f"{entry.name} has no content")
    return stream


def _zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                yield entry.filename, entry.file_size, lambda entry=entry: archive.open(entry)
