"""Compute every number that the paper of a study prints, and write them by name."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis import claims, tables
from jadapt.analysis.adapted_models import NEEDED, read_tables
from jadapt.core.errors import run
from jadapt.core.files import load_settings, read_json
from jadapt.paper import values


def main() -> None:
    """Parse the command line and write the table of numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in tables.READERS:
        needed = name in NEEDED
        parser.add_argument(f"--{name}", type=Path, required=needed, help=f"the study's {name}.csv")
    parser.add_argument("--claims", type=Path, required=True, help="the study's claims.csv")
    parser.add_argument("--sources", type=Path, required=True, help="the file of claims")
    parser.add_argument("--manifest", type=Path, help="the study's manifest: data and cost")
    parser.add_argument("--settings", required=True, help="resolved configuration: JSON, or a path")
    parser.add_argument("--literature", required=True, help="numbers of others")
    parser.add_argument("--output", type=Path, required=True, help="numbers.csv")
    arguments = parser.parse_args()
    numbers = values.collect(
        read_tables({name: getattr(arguments, name) for name in tables.READERS}),
        load_settings(arguments.settings),
        load_settings(arguments.literature),
        tables.read_claims(arguments.claims),
        claims.read_sources(arguments.sources),
        read_json(arguments.manifest) if arguments.manifest else None,
    )
    numbers.write(arguments.output)


if __name__ == "__main__":
    run(main)
