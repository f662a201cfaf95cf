"""Take away the lock of a workflow that was killed, unless it or jobs of it still run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from jadapt.config import studies
from jadapt.core.errors import UserError, run
from jadapt.workflow import stale_jobs

LOCKS = Path(".snakemake") / "locks"


def main() -> None:
    """Unlock the working directory if its lock belongs to nobody."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*", help="options of the study, for Snakemake")
    options = parser.parse_args().options
    if not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return
    others = stale_jobs.running(Path.cwd())
    if others and _only_of_another_study(options):
        # Snakemake itself looks at every file that both would make.
        return
    if others:
        raise UserError(
            f"{LOCKS}: Snakemake is running here (process {others[0]}); wait for it or stop it"
        )
    stale_jobs.check(Path.cwd())
    print("the last run was killed: its lock is taken away", file=sys.stderr)
    subprocess.run(["snakemake", *options, "--unlock", "--quiet", "all"], check=True)


def _only_of_another_study(options: list[str]) -> bool:
    """Tell whether what runs has nothing locked of the study that the options name."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    studies.add_arguments(parser)
    try:
        study = studies.load(parser.parse_known_args(options)[0])
    except (UserError, argparse.ArgumentError, OSError):
        return False
    locked = (path.read_text("utf-8", "replace").splitlines() for path in LOCKS.glob("*.lock"))
    return not any(Path(line).is_relative_to(study.results) for lines in locked for line in lines)


if __name__ == "__main__":
    run(main)
