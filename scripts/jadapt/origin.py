"""Which code and which packages: the commit of the working copy and the lock of its environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jadapt.files import sha256_file

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "envs" / "requirements.lock"
CHANGED = "+changes"


def commit() -> str | None:
    """Return the git commit of the code, with ``+changes`` if the tree differs, or None."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + (CHANGED if changed else "")


def lock() -> str | None:
    """Return the SHA-256 of the lock file that the environment is made from, or None without it."""
    return sha256_file(LOCK) if LOCK.is_file() else None


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
