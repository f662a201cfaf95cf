"""Write the HTML page of a study: one file that needs no server."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis import tables
from jadapt.analysis.adapted_models import NEEDED, read_tables
from jadapt.core.errors import run
from jadapt.core.files import load_settings, write_text
from jadapt.paper import page


def main() -> None:
    """Parse the command line, fill the template and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in (*NEEDED, "claims"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"the study's {name}.csv")
    parser.add_argument("--grid", type=Path, help="the study's grid.csv, if it searched anything")
    parser.add_argument("--figures", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the CSV tables")
    parser.add_argument(
        "--notebooks", required=True, help="kind, caption and tables of each: JSON, or a path"
    )
    parser.add_argument("--template", type=Path, required=True, help="page.html.j2")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    measured = read_tables({name: getattr(arguments, name) for name in (*NEEDED, "grid")})
    values = page.context(
        measured,
        tables.read_claims(arguments.claims),
        load_settings(arguments.notebooks),
        arguments.figures,
        arguments.tables,
    )
    write_text(arguments.output, page.render(arguments.template, values))


if __name__ == "__main__":
    run(main)
