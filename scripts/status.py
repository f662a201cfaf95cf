"""Print what of a study is done, running, failed and waiting, and how long is left."""

from __future__ import annotations

import argparse
import os
import sys
import time

from jadapt.config import studies
from jadapt.core.errors import UserError, run
from jadapt.release import status

DAY = 86400


def main() -> None:
    """Print once, or keep one line up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs side by side")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="one line, kept up to date")
    arguments = parser.parse_args()
    if arguments.watch is not None and not 0 < arguments.watch <= DAY:
        raise UserError(f"--watch {arguments.watch:g}: name seconds, above 0 and at most {DAY:,}")
    if arguments.jobs < 1:
        raise UserError(f"--jobs {arguments.jobs}: name how many runs go side by side, from 1")
    study = studies.load(arguments)
    if arguments.watch is None:
        print("\n".join(status.report(study, arguments.jobs)))
        return
    try:
        watch(study, arguments.jobs, arguments.watch)
    except KeyboardInterrupt:
        print()


def watch(study: studies.Study, jobs: int, seconds: float) -> None:
    """Rewrite one line of a terminal until everything is trained."""
    while True:
        found = status.progress(study)
        words = [status.headline(study, found, jobs)]
        words += [
            f"{each.name} {each.steps}/{each.of}"
            for each in found if each.state == status.RUNNING
        ]  # fmt: skip
        line = " | ".join(words)
        # On a terminal the line is written over itself; elsewhere every change is a line.
        terminal = sys.stdout.isatty()
        width = os.get_terminal_size().columns - 1 if terminal else len(line)
        print(f"\r\x1b[K{line[:width]}" if terminal else line, end="" if terminal else "\n")
        sys.stdout.flush()
        if all(each.state in (status.DONE, status.TRAINED) for each in found):
            break
        time.sleep(seconds)
    print()


if __name__ == "__main__":
    run(main)
