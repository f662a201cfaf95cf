"""Released results: the tables that the authors published, with their manifest.

Imported by the Snakefile on every call, so it imports nothing heavy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file

MANIFEST = "manifest.json"
_NEEDED = ("settings", "tables")
# Beside ``fronts.csv``: the losses of single documents, in a file for each front.
FRONTS_FOLDER = "fronts"
FORMAT_VERSION = 1
# The benchmark of a GPU, which is not a study; `jadapt.release.gpu_benchmark` writes it.
CARD = "paper/released/efficiency"
CARD_RECORD = f"{CARD}/SHA256SUMS"
MACHINE = "machine.json"
CARD_FORMAT = 1
# Keys of a configuration that change where things are looked for or shown, not what they are.
NEUTRAL = ("results", "mirror", "downloads", "seeds_per_job", "tensorboard", "deviations")


def read(folder: str | Path) -> dict:
    """Read the manifest of a released study and check its tables against it.

    Args:
        folder: ``paper/released/{study}``.

    Returns:
        The manifest; ``jadapt.release.manifest`` describes it.

    Raises:
        UserError: nothing is released there, or a table is not the one that was released.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        siblings = sorted(p.parent.name for p in folder.parent.glob(f"*/{MANIFEST}"))
        there = f"released: {', '.join(siblings)}" if siblings else "no study is released"
        raise UserError(
            f"{folder}: no released results of study '{folder.name}' ({there}); "
            "use results: recompute"
        )
    manifest = _whole(path)
    if manifest.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path}: format_version {manifest.get('format_version')}, expected {FORMAT_VERSION}; "
            "release the study again"
        )
    for name, table in manifest["tables"].items():
        check_table(folder / f"{name}.csv", name, table["sha256"])
    for run, front in manifest.get("fronts", {}).items():
        path = folder / FRONTS_FOLDER / f"{run}.parquet"
        check_table(path, f"{FRONTS_FOLDER}/{run}", front["documents_sha256"])
    return manifest


def _whole(path: Path) -> dict:
    """Read the manifest of a release; git has it as it was published."""
    remedy = f"git checkout -- {path}"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); {remedy}") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {remedy}") from error
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: not a manifest; {remedy}")
    if manifest.get("format_version") == FORMAT_VERSION:
        for key in _NEEDED:
            if not isinstance(manifest.get(key), dict):
                raise UserError(f"{path}: no '{key}'; {remedy}")
        for name, table in manifest["tables"].items():
            if not isinstance(table, dict) or not isinstance(table.get("sha256"), str):
                raise UserError(f"{path}: tables.{name}: no 'sha256'; {remedy}")
    return manifest


def check_card() -> None:
    """Raise a `UserError` unless the released files of the GPU benchmark are intact."""
    if found := checksums.folder_fault(Path(CARD)):
        raise UserError(f"{found}; git checkout -- {CARD}")


def card_parts(record: str | Path = CARD_RECORD) -> list[str]:
    """Return the released parts of the GPU benchmark: the tables that ``SHA256SUMS`` names."""
    lines = Path(record).read_text(encoding="utf-8").splitlines()
    names = (line.partition("  ")[2] for line in lines)
    return [name.removesuffix(".csv") for name in names if name.endswith(".csv")]


def check_table(path: Path, name: str, sha256: str) -> None:
    """Raise a `UserError` unless a released table exists and has the released checksum."""
    if not path.is_file():
        raise UserError(f"{path}: the released table '{name}' is missing; git checkout -- {path}")
    found = sha256_file(path)
    if found != sha256:
        raise UserError(
            f"{path}: the released table '{name}' was changed (SHA-256 {found[:12]}…, released "
            f"{sha256[:12]}…); git checkout -- {path}"
        )


def differences(settings: dict, released: dict) -> list[tuple[str, Any, Any]]:
    """Return (key, here, released) wherever a configuration differs from the released one.

    Keys are dotted paths; a value that one side lacks is None. Keys that decide no result are not
    compared.
    """
    found: list[tuple[str, Any, Any]] = []

    def compare(at: str, here: Any, there: Any) -> None:
        if isinstance(here, dict) and isinstance(there, dict):
            for key in dict.fromkeys([*there, *here]):
                if at or key not in NEUTRAL:
                    compare(f"{at}.{key}" if at else key, here.get(key), there.get(key))
        elif here != there:
            found.append((at, here, there))

    compare("", settings, released)
    return found


def difference_in_words(settings: dict, released: dict, verb: str = "released") -> str:
    """Return the first difference in words, with the number of others; empty if there is none."""
    found = differences(settings, released)
    if not found:
        return ""
    key, here, there = found[0]
    others = f" and {len(found) - 1} other keys" if len(found) > 1 else ""
    return f"{key} is {_short(here)}, {verb} with {_short(there)}{others}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
