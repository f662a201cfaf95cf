"""Keep the paper of a released study, with its first figure, where readers of the repository look.

A record beside them names what they were made from, so that a test can hold them to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.config import studies
from jadapt.core.errors import run
from jadapt.core.paths import ROOT
from jadapt.release import kept_paper


def main() -> None:
    """Parse the command line and copy the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    parser.add_argument("--output", type=Path, default=ROOT / "paper", help="default: paper")
    arguments = parser.parse_args()
    kept_paper.keep(studies.load(arguments), arguments.output)


if __name__ == "__main__":
    run(main)
