"""Take away the lock of a workflow that was killed, unless it or jobs of it still run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

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
    if others := stale_jobs.running(Path.cwd()):
        raise UserError(
            f"{LOCKS}: Snakemake is running here (process {others[0]}); wait for it or stop it"
        )
    stale_jobs.check(Path.cwd())
    print("the last run was killed: its lock is taken away", file=sys.stderr)
    subprocess.run(["snakemake", *options, "--unlock", "--quiet", "all"], check=True)


if __name__ == "__main__":
    run(main)
