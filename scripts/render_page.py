"""Write the HTML page of a study: one file that needs no server."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from urllib.parse import quote

from jadapt.analysis import tables
from jadapt.analysis.adapted_models import NEEDED, read_tables
from jadapt.core.errors import run
from jadapt.core.files import load_settings, write_text
from jadapt.paper import front_matter, page


def main() -> None:
    """Parse the command line, fill the template and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in (*NEEDED, "claims"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"the study's {name}.csv")
    parser.add_argument("--grid", type=Path, help="the study's grid.csv, if it searched anything")
    parser.add_argument("--baselines", type=Path, help="the study's baselines.csv, if any")
    parser.add_argument("--figures", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the CSV tables")
    parser.add_argument(
        "--notebooks", required=True, help="kind, caption and tables of each: JSON, or a path"
    )
    parser.add_argument("--template", type=Path, required=True, help="page.html.j2")
    parser.add_argument("--paper", type=Path, required=True, help="paper.typ.j2, for its order")
    parser.add_argument("--citation", type=Path, required=True, help="CITATION.cff")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    names = (*NEEDED, "grid", "baselines")
    measured = read_tables({name: getattr(arguments, name) for name in names})
    paths = {name: getattr(arguments, name) for name in (*names, "claims")}
    values = page.context(
        measured,
        tables.read_claims(arguments.claims),
        load_settings(arguments.notebooks),
        arguments.figures,
        arguments.tables,
        front_matter.read(arguments.citation),
        page.figures_of(arguments.paper),
        {name: link(path, arguments.output) for name, path in paths.items() if path},
    )
    write_text(arguments.output, page.render(arguments.template, values))


def link(path: Path, output: Path) -> str:
    """Return the address of a file as a link of the page."""
    return quote(Path(os.path.relpath(path, output.parent)).as_posix())


if __name__ == "__main__":
    run(main)
