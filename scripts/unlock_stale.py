"""Take away the lock of a workflow that was killed, unless one still runs in this folder."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import psutil

from jadapt.errors import UserError, run

LOCKS = Path(".snakemake") / "locks"


def running(folder: Path) -> list[int]:
    """Return the process ids of Snakemake in ``folder``, this program's own parents left out."""
    mine = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        named = any(Path(word).name == "snakemake" for word in words[:2])
        if named and process.info["cwd"] == str(folder) and process.pid not in mine:
            found.append(process.pid)
    return found


def main() -> None:
    """Unlock the working directory if its lock belongs to nobody."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*", help="options of the study, for Snakemake")
    options = parser.parse_args().options
    if not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return
    if others := running(Path.cwd()):
        raise UserError(
            f"{LOCKS}: Snakemake is running here (process {others[0]}); wait for it or stop it"
        )
    print("the last run was killed: its lock is taken away", file=sys.stderr)
    subprocess.run(["snakemake", *options, "--unlock", "--quiet", "all"], check=True)


if __name__ == "__main__":
    run(main)
