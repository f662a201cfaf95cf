"""Set the paper: fill its template with measured numbers and compile it to PDF."""

from __future__ import annotations

import argparse
import inspect
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from jadapt.analysis import claim_verdicts, claims, numbers, printed_tables, tables
from jadapt.analysis.adapted_models import fronts_only, read_tables
from jadapt.analysis.labels import declared
from jadapt.analysis.markup import typst
from jadapt.analysis.numbers import Numbered
from jadapt.analysis.statements import front_statement, statements
from jadapt.core.errors import UserError, run
from jadapt.core.files import atomic, load_settings, read_json, write_text
from jadapt.paper import cell_values, formulas, front_context, front_matter
from jadapt.paper import context as paper_context
from jadapt.paper.template import Typst, compile_pdf, quoted, render, speaking


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    for name in tables.READERS:
        parser.add_argument(f"--{name}", type=Path, help=f"the study's {name}.csv, if any")
    parser.add_argument("--numbers", type=Path, required=True, help="the study's numbers.csv")
    parser.add_argument("--claims", type=Path, help="the study's claims.csv")
    parser.add_argument("--sources", type=Path, help="the file of claims")
    parser.add_argument("--manifest", type=Path, help="the study's manifest: data and cost")
    parser.add_argument("--figures", type=Path, required=True, help="folder of the SVG figures")
    parser.add_argument("--tables", type=Path, required=True, help="folder of the CSV tables")
    parser.add_argument("--settings", required=True, help="resolved configuration: JSON, or a path")
    parser.add_argument(
        "--notebooks", required=True, help="captions and more of each: JSON, or a path"
    )
    parser.add_argument("--citation", type=Path, required=True, help="CITATION.cff")
    parser.add_argument("--template", type=Path, required=True, help="paper.typ.j2")
    parser.add_argument("--bibliography", type=Path, required=True, help="references.bib")
    parser.add_argument("--literature", type=Path, help="default: literature.yaml by the template")
    parser.add_argument("--output", type=Path, required=True, help="the PDF; paper.typ goes beside")
    return parser.parse_args()


def main() -> None:
    """Render and compile in a scratch folder; only a whole paper reaches the output folder."""
    arguments = parse()
    literature = arguments.literature or arguments.template.parent / "literature.yaml"
    for path in (arguments.template, arguments.bibliography, literature, arguments.citation):
        if not path.is_file():
            raise UserError(f"{path}: no such file")
    known = numbers.read(arguments.numbers)
    context, verdicts = told(arguments, load_settings(str(literature)))
    context |= speaking(known, context["findings"])
    context["front"] = front_matter.read(arguments.citation)
    folder = arguments.output.resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".paper.", dir=folder) as name:
        scratch = Path(name)
        build(arguments, context, printer(arguments.tables, known, verdicts), scratch)
        pdf = compile_pdf(scratch / "paper.typ")
        publish(scratch, folder)
    with atomic(arguments.output) as temporary:
        temporary.write_bytes(pdf)


def told(
    arguments: argparse.Namespace, literature: dict
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Return what the text is told by the tables of the study, and the verdicts on claims."""
    settings = load_settings(arguments.settings)
    manifest = read_json(arguments.manifest) if arguments.manifest else None
    paths = {name: getattr(arguments, name) for name in tables.READERS}
    if fronts_only(paths):
        measures = tables.READERS["front_measures"](arguments.front_measures)
        context = front_context.of_fronts(measures, settings, literature)
        corpora = arguments.corpora and tables.read_corpora(arguments.corpora)
        context["licences"] = [] if corpora is None else paper_context.licences(corpora)
        context["made_by"] = front_statement(manifest) if manifest else None
        return context, None
    context = paper_context.context(read_tables(paths), settings, literature)
    verdicts = tables.read_claims(arguments.claims)
    context["ledger"] = claim_verdicts.summary(verdicts, claims.read_sources(arguments.sources))
    if manifest:
        context["statement"] = statements(manifest)
    return context, verdicts


def printer(folder: Path, known: Numbered, verdicts: pd.DataFrame | None) -> Callable[[str], Typst]:
    """Return what prints a table of a folder, each number in it by its name."""

    def table(name: str) -> Typst:
        frame = tables.load_table(folder / f"{name}.csv")
        keys = printed_tables.keys(name, frame, verdicts)
        return Typst(typst(cell_values.checked(name, frame, keys, known.printed)))

    return table


def build(
    arguments: argparse.Namespace, context: dict, table: Callable[[str], Typst], scratch: Path
) -> None:
    """Write ``paper.typ`` into ``scratch`` with the figures and the bibliography that it uses."""
    (scratch / "figures").mkdir()

    notebooks = load_settings(arguments.notebooks)

    def figure(name: str) -> Typst:
        path = paper_context.figure_path(arguments.figures, name)
        words = paper_context.alternative_text(notebooks, name)
        shutil.copyfile(path, scratch / "figures" / path.name)
        # Figures are drawn at the size at which they are printed.
        width = paper_context.drawn_width(path)
        return Typst(
            f'image("figures/{path.name}", width: calc.min({width}pt, text-width),'
            f" alt: {quoted(words)})"
        )

    context = {**context, "study": arguments.study, "figure": figure, "table": table}
    text = formulas.spoken(render(arguments.template, context))
    write_text(scratch / "paper.typ", text)
    write_text(
        scratch / "references.bib", references(arguments.bibliography, context["paragraphs"])
    )


def references(bibliography: Path, paragraphs: dict[str, list[str]]) -> str:
    """Return the bibliography with the entries that the study's methods bring themselves."""
    text = bibliography.read_text(encoding="utf-8")
    for key in (key for keys in paragraphs.values() for key in keys):
        brought = declared()[key]
        if brought.bibtex and f"{{{brought.citation}," not in text:
            text += f"\n{inspect.cleandoc(brought.bibtex)}\n"
    return text


def publish(scratch: Path, folder: Path) -> None:
    """Move the sources beside the PDF, each whole, so that Typst users can compile them again."""
    (folder / "figures").mkdir(exist_ok=True)
    for path in sorted(scratch.rglob("*")):
        if path.is_file():
            with atomic(folder / path.relative_to(scratch)) as temporary:
                shutil.copyfile(path, temporary)


if __name__ == "__main__":
    run(main)
