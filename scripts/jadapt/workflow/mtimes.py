"""Files from the future, which a clock that went back leaves behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def bring_to_now(folders: Iterable[str | Path]) -> int:
    """Date files that are newer than now to now, and say how many there were.

    Snakemake takes a job for failed when one of its inputs is newer than its outputs, which are as
    new as they can be. All get the same instant: among themselves none is newer than another, and
    all stay newer than what is older than now, so that no job counts as out of date for it.
    """
    now = time.time_ns()
    late = 0
    for folder in folders:
        for path in Path(folder).rglob("*"):
            # Other processes come and go in these folders; other users' files are left alone.
            with suppress(OSError):
                if path.lstat().st_mtime_ns > now:
                    os.utime(path, ns=(now, now), follow_symlinks=False)
                    late += 1
    if late:
        print(f"the clock went back: {late} files of the future are dated now", file=sys.stderr)
    return late
