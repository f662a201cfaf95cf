"""Which code and which packages: the commit of the working copy and the lock of its environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
# Variables by which git takes another repository, or another index, than that of the folder.
_OTHER_REPOSITORY = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_CEILING_DIRECTORIES",
}  # fmt: skip


def commit() -> str | None:
    """Return the git commit of the code, with ``+changes`` if the tree differs, or None.

    A copy that `git archive` made is of the commit it was made from; whether it was changed since
    cannot be told.
    """
    return _commit()[0]


def note() -> None:
    """Say on stderr when results will not name the commit they were made with, and why."""
    found, reason = _commit()
    if found is None:
        print(f"note: results will name no commit of the code: {reason}", file=sys.stderr)


def _commit() -> tuple[str | None, str]:
    """Return the commit, and where there is none the reason and what to do."""
    try:
        # A copy that lies within another repository is no part of that.
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return _archived(), f"{ROOT} is no git repository; clone the project"
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except FileNotFoundError:
        return _archived(), "git is not installed"
    except (OSError, subprocess.CalledProcessError) as error:
        words = getattr(error, "stderr", None) or str(error)
        if "dubious ownership" in words:
            reason = f"{ROOT} is another user's; git config --global --add safe.directory {ROOT}"
        else:
            reason = " ".join(words.split())
        return _archived(), reason
    return head + (CHANGED if changed else ""), ""


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


def listed(root: Path) -> list[str] | None:
    """Return the files that git lists in a working copy; None where it is none."""
    try:
        if Path(_git("rev-parse", "--show-toplevel", root=root)).resolve() != root.resolve():
            return None
        return [name for name in _git("ls-files", "-z", root=root).split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        return None


def _archived() -> str | None:
    """Return the commit that an archive was made from; None where nothing says so."""
    if not ARCHIVED.is_file():
        return None
    word = ARCHIVED.read_text(encoding="utf-8").strip()
    return word if re.fullmatch(r"[0-9a-f]{40}", word) else None


def _git(*words: str, root: Path | None = None) -> str:
    # Of this copy, whatever repository the environment names, and in words that are known here.
    own = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    own["LC_ALL"] = "C"
    command = ["git", "-C", str(root or ROOT), *words]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", env=own)
    return done.stdout.strip()
