"""Compute every measure of the fronts of a study: points, equal learning, chosen models, tests."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis import front_measures
from jadapt.core.errors import run
from jadapt.core.files import load_settings
from jadapt.core.tables import FRONT_MEASURES


def main() -> None:
    """Parse the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fronts", type=Path, required=True, help="the study's fronts.csv")
    parser.add_argument(
        "--documents", type=Path, required=True, help="folder of the losses of single documents"
    )
    parser.add_argument("--baselines", type=Path, help="the study's baselines.csv, if any")
    parser.add_argument("--settings", required=True, help="resolved configuration: JSON, or a path")
    parser.add_argument("--output", type=Path, required=True, help="front_measures.csv")
    arguments = parser.parse_args()
    measured = front_measures.of_files(
        arguments.fronts, arguments.documents, arguments.baselines,
        load_settings(arguments.settings),
    )  # fmt: skip
    FRONT_MEASURES.write_frame(arguments.output, measured)


if __name__ == "__main__":
    run(main)
