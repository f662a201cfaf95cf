"""Which code and which packages: the commit of the working copy and the lock of its environment."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from jadapt.files import sha256_file

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "envs" / "requirements.lock"
# `git archive` writes the commit into it (.gitattributes).
ARCHIVED = ROOT / ".git_archival.txt"
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


def lock() -> str | None:
    """Return the SHA-256 of the lock file that the environment is made from, or None without it."""
    return sha256_file(LOCK) if LOCK.is_file() else None


def _archived() -> str | None:
    """Return the commit that an archive was made from; None where nothing says so."""
    if not ARCHIVED.is_file():
        return None
    word = ARCHIVED.read_text(encoding="utf-8").strip()
    return word if re.fullmatch(r"[0-9a-f]{40}", word) else None


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
