"""Read the members of an archive that match a pattern, without unpacking it to disk.

Archives come from elsewhere. Only plain files are read: what a link points to, a device or a pipe
is not. A name that would lead out of a folder, or a size that no corpus has, ends the reading.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from jadapt.core.errors import UserError
from jadapt.corpora.documents import Member

Entry = tuple[str, int, Callable[[], IO[bytes]]]
"""Name and size of a member, and how to open it."""

MAX_MEMBER_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 1024 * 2**20
# Of all members, read or not: a tar file has to be decompressed to get past them.
MAX_UNPACKED_BYTES = 8 * 2**30
MAX_MEMBERS = 200_000
# Of headers that extend the next one (long names, times); what they claim is read into memory.
MAX_EXTENSION_BYTES = 2**16
MAX_EXTENSIONS_BYTES = 32 * 2**20
_EXTENSIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
# Zip files raise the last two for encryption and for compressions that Python does not know.
_UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError,
    NotImplementedError,
)  # fmt: skip


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
        UserError: the archive is damaged, a member's name leads out of a folder, or there is more
            in it than there may be.
    """
    globs, exclude = tuple(globs), tuple(exclude)
    members, total, unpacked = [], 0, 0
    try:
        entries = _zip(path) if path.suffix in (".zip", ".whl") else _tar(path)
        for name, size, stream in entries:
            unpacked += size
            if size < 0:
                raise UserError(f"{path}: {name!r}: a size of {size:,} bytes; refused")
            if unpacked > MAX_UNPACKED_BYTES:
                raise UserError(f"{path}: more than {MAX_UNPACKED_BYTES:,} bytes unpacked; refused")
            if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
                raise UserError(f"{path}: {name!r} leads out of the archive; refused")
            if not matches(name, globs) or matches(name, exclude):
                continue
            total += size
            if size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
                raise UserError(
                    f"{path}: {name}: {size:,} bytes; more than this project reads from an archive "
                    f"({MAX_MEMBER_BYTES:,} a member, {MAX_TOTAL_BYTES:,} in all)"
                )
            members.append(Member(name, stream().read(size)))
    except _UNREADABLE as error:
        raise UserError(f"{path}: not a readable archive ({error})") from error
    return sorted(members)


def _tar(path: Path) -> Iterator[Entry]:
    with tarfile.open(path, "r|*", tarinfo=_limited(path)) as archive:
        for number, entry in enumerate(archive):
            # What is read is not kept: a tar file may have any number of empty members.
            archive.members.clear()  # type: ignore[attr-defined]
            if number >= MAX_MEMBERS:
                raise UserError(f"{path}: more than {MAX_MEMBERS:,} members; refused")
            if entry.isfile():
                yield entry.name, entry.size, partial(_tar_stream, archive, entry)


def _limited(path: Path) -> type[tarfile.TarInfo]:
    """Return a class of headers that refuses those which would take memory without end."""
    extensions = 0

    class Limited(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes, encoding: str, errors: str) -> Any:
            nonlocal extensions
            header = super().frombuf(buf, encoding, errors)
            if header.size < 0:
                raise UserError(f"{path}: a size of {header.size:,} bytes; refused")
            if header.type == tarfile.GNUTYPE_SPARSE:
                raise UserError(f"{path}: {header.name!r} is a sparse file; refused")
            if header.type in _EXTENSIONS:
                extensions += header.size
                if header.size > MAX_EXTENSION_BYTES or extensions > MAX_EXTENSIONS_BYTES:
                    raise UserError(
                        f"{path}: a header of {header.size:,} bytes; refused (no more than "
                        f"{MAX_EXTENSION_BYTES:,} are read, {MAX_EXTENSIONS_BYTES:,} in all)"
                    )
            return header

    return Limited


def _tar_stream(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(entry)
    if stream is None:
        raise tarfile.TarError(f"{entry.name} has no content")
    return stream


def _zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if not entry.is_dir() and kind in (0, stat.S_IFREG):
                yield entry.filename, entry.file_size, partial(archive.open, entry)
