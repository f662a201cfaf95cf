"""A fresh clone, and the command that builds from released results in it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def fresh_clone() -> Iterator[Path]:
    """Yield a clone of this repository that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        yield clone


def build(clone: Path, config: Path, target: str, *options: str) -> None:
    """Build a target from released results; what fails ends the benchmark with its output."""
    command = [
        "snakemake", "--configfile", str(config), "--config", "results=released",
        "--cores", "2", target, *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
