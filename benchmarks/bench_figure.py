"""Time one figure from released results on a fresh clone, beside what it may take."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from released_clone import ROOT, build, fresh_clone

LIMIT_DRY_RUN_SECONDS = 3
LIMIT_FIGURE_SECONDS = 60


def seconds(clone: Path, config: Path, target: str, *options: str) -> float:
    """Return the wall time of building a target from released results."""
    start = time.perf_counter()
    build(clone, config, target, *options)
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
    target = f"fig_{given.figure}"
    with fresh_clone() as clone:
        dry = sorted(seconds(clone, given.config, target, "-n") for _ in range(3))[1]
        drawn = seconds(clone, given.config, target)
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
