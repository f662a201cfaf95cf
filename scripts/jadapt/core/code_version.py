"""Which code and which packages: the commit of the working copy and the lock of its environment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from jadapt.core.files import sha256_file
from jadapt.core.paths import ROOT

LOCK = ROOT / "envs" / "requirements.lock"
# `git archive` writes the commit into it (.gitattributes).
ARCHIVED = ROOT / ".git_archival.txt"
_PIN = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)", re.MULTILINE)
CHANGED = "+changes"


def commit() -> str | None:
    """Return the git commit of the code, with ``+changes`` if the tree differs, or None.

    A copy that `git archive` made is of the commit it was made from; whether it was changed since
    cannot be told.
    """
    try:
        # A copy that lies within another repository is no part of that.
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return _archived()
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return _archived()
    return head + (CHANGED if changed else "")


def lock(packages: Iterable[str] = ()) -> str | None:
    """Return the SHA-256 of the lock file that the environment is made from.

    None without such a file, or where one of the ``packages`` is here in another version than the
    file pins: then the environment was made in another way. What the file does not pin is not
    compared.
    """
    if not LOCK.is_file():
        return None
    pins = dict(_PIN.findall(LOCK.read_text(encoding="utf-8")))
    for name in packages:
        pinned = pins.get(name.replace("_", "-").lower())
        if pinned is not None and version(name) != pinned:
            return None
    return sha256_file(LOCK)


def _archived() -> str | None:
    """Return the commit that an archive was made from; None where nothing says so."""
    if not ARCHIVED.is_file():
        return None
    word = ARCHIVED.read_text(encoding="utf-8").strip()
    return word if re.fullmatch(r"[0-9a-f]{40}", word) else None


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
