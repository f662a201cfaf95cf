"""Judge the published claims of the ledger by the tables of a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis import claim_verdicts, claims
from jadapt.analysis.adapted_models import NEEDED, read_tables
from jadapt.core.errors import run
from jadapt.core.tables import CLAIMS


def main() -> None:
    """Parse the command line and write the table of verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=Path, required=True, help="the file of claims")
    for name in NEEDED:
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"the study's {name}.csv")
    parser.add_argument("--grid", type=Path, help="the study's grid.csv, if it searched anything")
    parser.add_argument("--domains", nargs="*", default=[], help="domains that claims may name")
    parser.add_argument(
        "--unmet", nargs="*", default=[], help="conditions of the file that the study does not meet"
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    published = claims.read(arguments.claims, arguments.domains)
    measured = read_tables({name: getattr(arguments, name) for name in (*NEEDED, "grid")})
    frame = claim_verdicts.judge(published, measured, arguments.unmet)
    CLAIMS.write_frame(arguments.output, frame)


if __name__ == "__main__":
    run(main)
