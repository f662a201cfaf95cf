"""What an entry of a source may say: names that are names, and a file of one's own that is there.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file, write_json

# PEP 508 and PEP 440; pip reads both from a file in which a line can be an option.
PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
VERSION = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.!+_-]*[0-9A-Za-z])?")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
SHA256 = re.compile(r"[0-9a-f]{64}")
_NAMES = {"package": PACKAGE, "version": VERSION, "file": FILE, "sha256": SHA256}
# Checksums of the user's own files by path and what the system says of them: a text of gigabytes is
# read once, not in every call of Snakemake.
CACHE = Path(".cache/sources.json")


def check(name: str, entry: dict) -> None:
    """Raise a `UserError` where an entry of kind ``pypi`` holds anything but names."""
    if entry["kind"] != "pypi":
        return
    for key, pattern in _NAMES.items():
        value = entry.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise UserError(f"source {name}: {key}: {value!r} is no {_WORDS[key]}")


_WORDS = {
    "package": "name of a package", "version": "version (quote a number)",
    "file": "name of a file of a package", "sha256": "SHA-256, 64 hexadecimal digits",
}  # fmt: skip


def own_file(name: str, entry: dict) -> Path:
    """Return the file of the user's that a ``local`` source names.

    Raises:
        UserError: it is missing, no plain file, or cannot be read.
    """
    path = Path(entry["path"])
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no plain file"
            raise UserError(f"source {name}: {path}: {kind}; name a file of text in its 'path'")
        with open(path, "rb"):
            return path
    except (OSError, ValueError) as error:
        missing = getattr(error, "errno", None) in (errno.ENOENT, errno.ENOTDIR)
        reason = "no such file" if missing else getattr(error, "strerror", None) or error
        raise UserError(f"source {name}: {path}: {reason}; correct its 'path'") from error


def content(path: Path) -> str:
    """Return the SHA-256 of a file, from the last call where nothing about the file has changed.

    The time of the last change of its inode is looked at as well, which no program sets: a file
    that is replaced by one with an older date is noticed.

    Raises:
        UserError: there is no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; correct the path in the configuration"
        ) from error
    facts = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    key = str(path.absolute())
    known = _known()
    if known.get(key, [None])[:-1] != facts:
        known = known | {key: [*facts, sha256_file(path)]}
        try:
            write_json(CACHE, known)
        except OSError:
            if os.environ.get("JADAPT_DEBUG"):
                raise
    return known[key][-1]


def _known() -> dict[str, list]:
    try:
        found = json.loads(CACHE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(isinstance(entry, list) for entry in found.values())
    return found if whole else {}
