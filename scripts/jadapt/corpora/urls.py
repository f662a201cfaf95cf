"""Fetch pinned raw files: from a local mirror if there is one, otherwise from GitHub."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path, PurePosixPath

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from jadapt.core.errors import UserError
from jadapt.core.files import atomic, sha256_file
from jadapt.core.paths import inside
from jadapt.corpora.verification import Unreachable, is_present, wrong_checksum

HOST = "https://raw.githubusercontent.com"
PREFIX = "github/"
TIMEOUT = 15
"""Seconds to wait for a connection, and for each block of an answer."""
RETRIES = 3
BLOCK = 2**16


def read_pins(path: str | Path) -> list[dict]:
    """Read a pin file: tab-separated, a header line with at least ``path``, ``bytes``, ``sha256``.

    Raises:
        UserError: the file is missing or a line has not as many fields as the header.
    """
    try:
        header, *lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot read the pin file ({error})") from error
    names, pins = header.split("\t"), []
    for number, line in enumerate(lines, 2):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise UserError(f"{path}:{number}: {len(fields)} fields, expected {len(names)}")
        pins.append(dict(zip(names, fields, strict=True)))
    return pins


def pinned_files(name: str, entry: dict) -> list[dict]:
    """Return the files of a ``url`` source, from its list ``files`` or its pin file ``pins``.

    Raises:
        UserError: no file is named, or a path leaves the mirror's layout.
    """
    pins = list(entry.get("files", []))
    if "pins" in entry:
        pins += read_pins(entry["pins"])
    if not pins:
        raise UserError(f"source {name}: neither 'files' nor 'pins' names a file")
    for pin in pins:
        parts = PurePosixPath(pin["path"]).parts
        if ".." in parts or not pin["path"].startswith(PREFIX) or len(parts) < 5:
            raise UserError(
                f"source {name}: path {pin['path']}: expected github/OWNER/REPOSITORY/COMMIT/PATH"
            )
    return pins


def fetch_files(name: str, entry: dict, mirror: Path | None, directory: Path) -> list[dict]:
    """Put every pinned file below ``directory`` and return the records for ``fetched.json``.

    Raises:
        UserError: a checksum is wrong (a file of the mirror is left where it is), or the mirror is
            not a directory; `Unreachable` when a file is neither in the mirror nor on the network.
    """
    if mirror is not None and not mirror.is_dir():
        raise UserError(f"mirror {mirror}: no such directory; correct 'mirror' or JADAPT_MIRROR")
    records, pins = [], pinned_files(name, entry)
    # Of a download that was killed.
    for leftover in directory.rglob(".*.part"):
        leftover.unlink()
    with _session() as session:
        for number, pin in enumerate(pins, 1):
            target = inside(directory, pin["path"], f"source {name}: path")
            origin = _fetch_one(name, pin, mirror, target, session)
            size = target.stat().st_size
            records.append(
                {"file": pin["path"], "bytes": size, "sha256": pin["sha256"], "from": origin}
            )
            if origin == "remote" and number % 50 == 0:
                print(f"source {name}: {number} of {len(pins)} files", file=sys.stderr)
    return records


def _fetch_one(
    name: str, pin: dict, mirror: Path | None, target: Path, session: requests.Session
) -> str:
    if is_present(target, pin["sha256"]):
        return "present"
    copy = _in_mirror(mirror, pin["path"])
    if copy is None:
        _download(name, pin, target, session)
        return "remote"
    found = sha256_file(copy)
    if found != pin["sha256"]:
        raise UserError(
            f"source {name}: {copy}: wrong checksum, expected sha256 {pin['sha256']}, found "
            f"{found}; replace this file of the mirror"
        )
    with atomic(target) as temporary:
        shutil.copyfile(copy, temporary)
    return "mirror"


def _in_mirror(mirror: Path | None, path: str) -> Path | None:
    """Return the mirror's copy; the mirror may be given as its ``github`` directory, too."""
    if mirror is None:
        return None
    candidates = (mirror / path, mirror / path.removeprefix(PREFIX))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _session() -> requests.Session:
    session = requests.Session()
    retry = Retry(RETRIES, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    return session


def _download(name: str, pin: dict, target: Path, session: requests.Session) -> None:
    digest = hashlib.sha256()
    url = f"{HOST}/{pin['path'].removeprefix(PREFIX)}"
    try:
        with session.get(url, timeout=TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            with atomic(target) as temporary, open(temporary, "wb") as stream:
                for block in answer.iter_content(BLOCK):
                    stream.write(block)
                    digest.update(block)
                if digest.hexdigest() != pin["sha256"]:
                    raise wrong_checksum(name, pin["path"], pin["sha256"], digest.hexdigest())
    except requests.HTTPError as error:
        reason = f"the server answered {error.response.status_code}"
        raise Unreachable(_unreachable(name, pin, reason)) from error
    except requests.RequestException as error:
        raise Unreachable(_unreachable(name, pin, "no network")) from error


def _unreachable(name: str, pin: dict, reason: str) -> str:
    return (
        f"source {name}: cannot fetch {pin['path']} ({reason}); set 'mirror' in the configuration, "
        "or JADAPT_MIRROR, to a directory that holds the same path"
    )
