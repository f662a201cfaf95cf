"""What a Snakemake that was killed may have left behind: its lock, and jobs in SLURM's queue."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil

from jadapt.core.errors import UserError

# Beginning of the comment that Snakemake's SLURM plugin gives its jobs; single jobs and groups.
COMMENT = "rule_"


def running(folder: Path) -> list[int]:
    """Return the process ids of Snakemake in ``folder``, this program and its parents left out."""
    mine = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        named = any(Path(word).name == "snakemake" for word in words[:2])
        if named and process.info["cwd"] == str(folder) and process.pid not in mine:
            found.append(process.pid)
    return found


def queued(folder: Path) -> list[str]:
    """Return the ids of one's jobs in SLURM's queue that Snakemake submitted from ``folder``.

    Where SLURM is not installed or does not answer, there are none that could be known of.
    """
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", "--format", "%i\t%k\t%Z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return []
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return [
        words[0]
        for words in lines
        if len(words) == 3 and words[1].startswith(COMMENT) and words[2] == str(folder)
    ]


def check(folder: Path) -> None:
    """Refuse to start beside jobs that a killed Snakemake left in SLURM's queue.

    Each would be submitted a second time. While another Snakemake runs in the folder, which is
    allowed for another study, the jobs may be its own.

    Raises:
        UserError: there are such jobs; it names them and the two ways on.
    """
    jobs = queued(folder)
    if jobs and not running(folder):
        raise UserError(
            f"{folder}: SLURM still has {'job' if len(jobs) == 1 else 'jobs'} {', '.join(jobs)} of "
            "a Snakemake that was killed; wait until `squeue --me` shows none, or run "
            f"`scancel {' '.join(jobs)}` (training goes on from its last checkpoint), then start "
            "again"
        )
