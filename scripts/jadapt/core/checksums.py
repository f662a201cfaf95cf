"""Checksums written with files, and compared before the files are used again.

A single file has its record beside it (``NAME.sha256``), a folder has one inside (``SHA256SUMS``).
Both are in the format of coreutils, so that ``sha256sum -c`` reads them too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import atomic, sha256_file, sync, write_text

FOLDER_RECORD = "SHA256SUMS"
# By path, inode, size and modification time, so that a process hashes each file only once.
_known: dict[tuple[str, int, int, int], str] = {}


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, cached as long as the file does not change."""
    path = Path(path).absolute()
    status = path.stat()
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _known:
        _known[key] = sha256_file(path)
    return _known[key]


def record_of(path: Path) -> Path:
    """Return the path of the checksum of a sealed file."""
    return path.with_name(f"{path.name}.sha256")


@contextmanager
def sealed(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path as `files.atomic` does, and write the checksum beside the final file.

    The checksum is written before the file is renamed, so that every file has one. A process that
    ends in between leaves a checksum that does not match, and the file counts as damaged.
    """
    path = Path(path)
    with atomic(path) as temporary:
        yield temporary
        write_text(record_of(path), f"{sha256_file(temporary)}  {path.name}\n")


def fault(path: Path) -> str | None:
    """Return what is wrong with a sealed file, in a few words; None if it is intact.

    The file is always hashed anew (not cached), since files of this kind are read only once.
    """
    if path.is_dir():
        return "a folder is in the place of a file"
    try:
        expected = _read(record_of(path)).get(path.name)
        if expected is None:
            return f"{record_of(path).name} does not name it"
        return None if sha256_file(path) == expected else "its sha256 is not the recorded one"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except IsADirectoryError:
        return f"{record_of(path).name} is a folder"


def remove(path: Path) -> None:
    """Delete a sealed file, then its record; a folder in the place of either as well."""
    for each in (path, record_of(path)):
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink(missing_ok=True)


def seal_folder(directory: Path, names: Iterable[str] | None = None) -> None:
    """Sync files of a folder to the disk, then write the checksums of all of them.

    Args:
        directory: the folder, in which ``SHA256SUMS`` is written.
        names: paths relative to the folder; by default all its files.
    """
    if names is None:
        files = (path for path in directory.rglob("*") if path.is_file())
        names = [path.relative_to(directory).as_posix() for path in files]
    lines = []
    for name in sorted(set(names) - {FOLDER_RECORD}):
        sync(directory / name)
        lines.append(f"{sha256_file(directory / name)}  {name}\n")
    write_text(directory / FOLDER_RECORD, "".join(lines))


def copy_folder(source: Path, target: Path) -> None:
    """Replace ``target`` by a copy of a sealed folder, synced to the disk and checked."""
    temporary = target.with_name(f".{target.name}.part")
    for old in (temporary, target):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(source, temporary)
    for path in temporary.rglob("*"):
        sync(path)
    check_folder(temporary)
    temporary.rename(target)


def folder_fault(directory: Path) -> str | None:
    """Return the first damaged file of a sealed folder and what is wrong with it, or None."""
    record = directory / FOLDER_RECORD
    if not record.is_file():
        return f"{record}: no such file"
    for name, expected in _read(record).items():
        path = directory / name
        if not path.is_file():
            return f"{path}: no such file"
        if digest(path) != expected:
            return f"{path}: its sha256 is not the one in {FOLDER_RECORD}"
    return None


def check_folder(directory: Path) -> None:
    """Raise a `UserError` unless the files of a model folder are intact.

    The remedy names the parent folder, because that is the output of a rule, which then reruns.
    """
    if found := folder_fault(directory):
        raise UserError(f"{found}; delete {directory.parent} and run the same command again")


def _read(record: Path) -> dict[str, str]:
    """Return checksums by file name; malformed lines match no file."""
    lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition("  ") for line in lines)
    return {name: checksum for checksum, _, name in pairs}
