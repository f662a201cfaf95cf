"""Time one figure from released results on a fresh clone, beside what it may take."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_DRY_RUN_SECONDS = 3
LIMIT_FIGURE_SECONDS = 60


def seconds(command: list[str], folder: Path) -> float:
    """Return the wall time of a command that has to succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - start


def main() -> int:
    """Print the times; exit with 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="mini")
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--figure", default="retention")
    given = parser.parse_args()
    if not (ROOT / "paper/released" / given.study).is_dir():
        print(f"paper/released/{given.study}: not released, so nothing to measure (make release)")
        return 0
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        command = [
            "snakemake", "--configfile", str(given.config), "--config", "results=released",
            "--cores", "2", f"fig_{given.figure}",
        ]  # fmt: skip
        dry = sorted(seconds([*command, "-n"], clone) for _ in range(3))[1]
        drawn = seconds(command, clone)
    print(f"{'':<44}{'measured':>10}{'limit':>8}")
    exceeded = False
    for words, value, limit in (
        ("dry run of one figure, released, s", dry, LIMIT_DRY_RUN_SECONDS),
        ("one figure from released results, s", drawn, LIMIT_FIGURE_SECONDS),
    ):
        exceeded |= value > limit
        print(f"{words:<44}{value:>10.1f}{limit:>8}  {'ok' if value <= limit else 'EXCEEDED'}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
