"""Checksums of fetched files, and the record ``fetched.json`` that lies beside them."""

from __future__ import annotations

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
        if not file["path"].is_file():
            raise UserError(f"{file['path']}: no such file; delete {path} and run again")
        found = sha256_file(file["path"])
        if found != file["sha256"]:
            raise UserError(
                f"{file['path']}: changed since it was fetched, expected sha256 {file['sha256']}, "
                f"found {found}; delete {path} and run again"
            )
    return fetched
