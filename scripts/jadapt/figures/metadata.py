"""What a figure file says about where it comes from, in its own metadata."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from jadapt.core import code_version
from jadapt.core.errors import UserError
from jadapt.core.files import sha256_file

# The rule that draws a figure names its sources here: a notebook need not know them.
VARIABLE = "JADAPT_ORIGIN"
DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


def sources() -> dict | None:
    """Return what a figure is made from, or None outside of the workflow.

    Returns:
        ``study``, ``name``, ``results`` (recomputed or released), ``notebook`` and ``tables`` with
        path and SHA-256 each, and the ``commit`` of the code that draws.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    given = json.loads(text)
    return {
        **given,
        "notebook": _file(given["notebook"]),
        "tables": {name: _file(path) for name, path in given["tables"].items()},
        "commit": code_version.commit(),
    }


def _file(path: str) -> dict[str, str]:
    return {"path": path, "sha256": sha256_file(path)}


def metadata(kind: str) -> dict[str, str | None]:
    """Return matplotlib's metadata for a file of ``kind``: pdf, svg or png.

    Dates and versions are left out: they would make the bytes of an unchanged figure differ.
    """
    dateless: dict[str, dict[str, str | None]] = {
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    found = sources()
    if found is None:
        return dateless[kind]
    title, text = f"{found['name']} ({found['study']})", json.dumps(found, sort_keys=True)
    key = {"pdf": "Keywords", "svg": "Description", "png": "Description"}[kind]
    return dateless[kind] | {"Title": title, key: text}


def read(path: Path) -> dict:
    """Return what a figure file says about its sources.

    Raises:
        UserError: it says nothing, or is no figure.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        text = {".svg": _svg, ".png": _png, ".pdf": _pdf}[path.suffix](path)
        return json.loads(text or "")
    except (
        KeyError, OSError, ElementTree.ParseError, ValueError, TypeError, RecursionError,
        Image.DecompressionBombError, SyntaxError,
    ):  # fmt: skip
        raise UserError(f"{path}: no figure that says where it comes from") from None


def _svg(path: Path) -> str | None:
    found = ElementTree.parse(path).getroot().iter(DESCRIPTION)
    return next((element.text for element in found), None)


def _png(path: Path) -> str | None:
    with Image.open(path) as image:
        return image.info.get("Description")


def _pdf(path: Path) -> str | None:
    """Read the literal string of ``/Keywords``: PDF escapes parentheses and backslashes in it."""
    found = re.search(rb"/Keywords \(((?:[^\\()]|\\.)*)\)", path.read_bytes(), re.DOTALL)
    return re.sub(rb"\\(.)", rb"\1", found.group(1)).decode("latin-1") if found else None
