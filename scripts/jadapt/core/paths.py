"""Where the working copy and the package lie, and names from elsewhere that become paths."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

from jadapt.core.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
SCRIPTS = PACKAGE.parent
ROOT = SCRIPTS.parent

# What the file systems in use allow for one name.
_LONGEST_NAME = 255


def inside(folder: Path, name: str, origin: str) -> Path:
    """Return the path of ``name`` below ``folder``; whatever is written or removed goes through it.

    Args:
        folder: it need not exist.
        name: a relative path with slashes, from a configuration, an archive or a server.
        origin: file and key that the name comes from, for the message.

    Raises:
        UserError: the name is absolute, climbs, holds a control character, or passes through a link
            that leads elsewhere.
    """
    path = PurePosixPath(name)
    odd = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)
    if odd or "\\" in name or not path.parts or path.is_absolute() or ".." in path.parts:
        raise UserError(f"{origin}: {name!r} is no path below a folder; refused")
    if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
        raise UserError(f"{origin}: {name[:40]}…: longer than the {_LONGEST_NAME} bytes of a name")
    target = folder / path
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{origin}: {name!r} leads out of {folder} through a link; refused")
    return target
