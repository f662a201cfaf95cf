"""Compute every number that the paper of a study prints, and write them by name."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis import claims, tables
from jadapt.analysis.adapted_models import fronts_only, read_tables
from jadapt.core.errors import run
from jadapt.core.files import load_settings, read_json
from jadapt.paper import values


def main() -> None:
    """Parse the command line and write the table of numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in tables.READERS:
        parser.add_argument(f"--{name}", type=Path, help=f"the study's {name}.csv, if any")
    parser.add_argument("--claims", type=Path, help="the study's claims.csv")
    parser.add_argument("--sources", type=Path, help="the file of claims")
    parser.add_argument("--manifest", type=Path, help="the study's manifest: data and cost")
    parser.add_argument("--settings", required=True, help="resolved configuration: JSON, or a path")
    parser.add_argument("--literature", required=True, help="numbers of others")
    parser.add_argument("--output", type=Path, required=True, help="numbers.csv")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    literature = load_settings(arguments.literature)
    paths = {name: getattr(arguments, name) for name in tables.READERS}
    if fronts_only(paths):
        measures = tables.READERS["front_measures"](arguments.front_measures)
        numbers = values.collect_fronts(measures, settings, literature)
    else:
        numbers = values.collect(
            read_tables(paths),
            settings,
            literature,
            tables.read_claims(arguments.claims),
            claims.read_sources(arguments.sources),
            read_json(arguments.manifest) if arguments.manifest else None,
        )
    numbers.write(arguments.output)


if __name__ == "__main__":
    run(main)
