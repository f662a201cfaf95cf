"""Remove the results of one study: its folder results/{study}, and nothing else."""

from __future__ import annotations

import argparse

from jadapt.config import studies
from jadapt.core.errors import run
from jadapt.release import cleaning


def main() -> None:
    """Parse the command line, say what goes, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    study = studies.load(parser.parse_args())
    cleaning.refuse(study)
    if not study.results.exists():
        print(f"{study.results}: not there; nothing to remove")
        return
    print(f"removing {study.results}: {cleaning.contents(study.results)}")
    cleaning.remove(study.results)


if __name__ == "__main__":
    run(main)
