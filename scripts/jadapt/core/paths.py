"""Where the working copy and the package lie; every other path is relative to one of them."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SCRIPTS = PACKAGE.parent
ROOT = SCRIPTS.parent
