"""Write the manifest of a study: checksums of its tables, runs and text, its code and its cost."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.config.studies import Study
from jadapt.core.errors import run
from jadapt.core.files import load_settings, write_json
from jadapt.release import manifest


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="resolved configuration: JSON, or a path")
    parser.add_argument("--results", type=Path, required=True, help="results/{study}")
    parser.add_argument("--tables", nargs="+", required=True, help="names of the study's tables")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    settings = load_settings(given.settings)
    study = Study(settings, (), given.results, Path("paper/released") / settings["study"])
    write_json(given.output, manifest.build(study, settings, given.tables))


if __name__ == "__main__":
    run(main)
