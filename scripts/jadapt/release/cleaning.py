"""The removal of a study's results, and when it is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from jadapt.config.studies import Study
from jadapt.core.errors import UserError
from jadapt.release import status
from jadapt.workflow import stale_jobs

# What the rules write into the folder of a study; one of them is in any that has run.
MADE_BY_RULES = (
    "benchmarks", "corpora", "evaluation", "figures", "logs", "manifest.json", "metrics.csv",
    "models", "notebooks", "paper", "runs", "settings", "tables", "tokenizer", "tokens",
)  # fmt: skip
_MEBIBYTE = 1 << 20


def refuse(study: Study) -> None:
    """Refuse to remove what is not the folder of the study, or what is being made.

    Raises:
        UserError: one line that says why.
    """
    folder = study.results
    if folder.is_symlink() or folder.resolve() != Path.cwd().resolve() / "results" / study.name:
        raise UserError(
            f"{folder}: is not results/{study.name} of this folder, or a link; remove it by hand"
        )
    if not folder.exists():
        return
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if there and not there & set(MADE_BY_RULES):
        raise UserError(
            f"{folder}: holds nothing that this workflow makes; look at it and remove it by hand"
        )
    for lock in sorted(folder.glob("checkpoints/**/*.lock")):
        if status.locked(lock):
            owner = lock.read_text(encoding="utf-8", errors="replace").strip()
            raise UserError(f"{lock}: {owner or 'a process'} trains this run; wait, or stop it")
    if others := stale_jobs.running(Path.cwd()):
        raise UserError(f"Snakemake is running here (process {others[0]}); wait for it or stop it")
    if jobs := stale_jobs.queued(Path.cwd()):
        raise UserError(
            f"SLURM still has jobs of this folder ({', '.join(jobs)}); wait for them, or run "
            f"`scancel {' '.join(jobs)}`"
        )


def contents(folder: Path) -> str:
    """Return in words what a folder holds."""
    files = size = 0
    for parent, _, names in os.walk(folder):
        files += len(names)
        size += sum((Path(parent) / name).lstat().st_size for name in names)
    return f"{files:,} files, {size / _MEBIBYTE:,.1f} MiB"


def remove(folder: Path) -> None:
    """Remove a folder; what links lead to stays."""
    shutil.rmtree(folder)
