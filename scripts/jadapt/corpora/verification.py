"""Checksums of fetched files, and the record ``fetched.json`` that lies beside them."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, sha256_file
from jadapt.core.paths import inside


class Unreachable(UserError):
    """A source that cannot be had now: no network, or not where it was looked for."""


def wrong_checksum(name: str, file: str, expected: str, found: str) -> UserError:
    """Return the error for a fetched file whose content is not the pinned one."""
    return UserError(
        f"source {name}: {file}: wrong checksum, expected sha256 {expected}, found {found}; the "
        "file was removed: run again, or correct its 'sha256' in config/corpora.yaml or models.yaml"
    )


def is_special(path: Path) -> bool:
    """Tell whether ``path`` is there but no file: a folder, a pipe, or out of reach."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True


def checksum(path: Path, prefix: str, absent: str) -> str:
    """Return the hexadecimal SHA-256 of a file that the configuration or a record names.

    Args:
        path: the file.
        prefix: what a message begins with, such as ``source mine: ``.
        absent: the remedy where there is no such file.

    Raises:
        UserError: there is none, it is no plain file, or it cannot be read; with the remedy.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return sha256_file(path)
        if stat.S_ISDIR(mode):
            reason = "a folder; name a file in it"
        else:
            reason = "a pipe or a device; write its text to a file and name that"
    except (FileNotFoundError, NotADirectoryError):
        reason = f"no such file; {absent}"
    except PermissionError:
        reason = "no permission to read it; give it with chmod, or name another file"
    except (OSError, ValueError) as error:
        reason = f"{getattr(error, 'strerror', None) or error}; name another file"
    raise UserError(f"{prefix}{path}: {reason}")


def is_present(path: Path, sha256: str) -> bool:
    """Tell whether ``path`` holds the pinned content; a file with other content is removed."""
    if not path.is_file():
        return False
    found = sha256_file(path)
    if found == sha256:
        return True
    path.unlink()
    print(f"{path}: wrong checksum ({found}); removed, fetching it again", file=sys.stderr)
    return False


def read_fetched(path: str | Path) -> dict:
    """Read a ``fetched.json``; every file in it must still have the checksum written there.

    Returns:
        The record, with ``path`` added to each file.

    Raises:
        UserError: a file is missing or has changed since it was fetched.
    """
    path = Path(path)
    fetched = read_json(path)
    for file in fetched["files"]:
        local = fetched["kind"] == "local"
        name = file["file"]
        file["path"] = Path(name) if local else inside(path.parent, name, f"{path}: file")
        found = checksum(file["path"], "", f"delete {path} and run again")
        if found != file["sha256"]:
            raise UserError(
                f"{file['path']}: changed since it was fetched, expected sha256 {file['sha256']}, "
                f"found {found}; delete {path} and run again"
            )
    return fetched
