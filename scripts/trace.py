"""Print where a figure, a table or a number of the paper comes from, down to checksums."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from jadapt.analysis import claims
from jadapt.analysis.adapted_models import READERS, read_tables
from jadapt.analysis.printing import significant
from jadapt.config import studies, yaml_files
from jadapt.core import released
from jadapt.core.errors import UserError, nearest, run
from jadapt.core.files import load_settings, sha256_file
from jadapt.core.notebooks import facts as notebook_facts
from jadapt.figures import metadata
from jadapt.release import numbers, origins, trace

TEMPLATE = Path("paper/paper.typ.j2")
CLAIMS = Path("config/claims.yaml")
LITERATURE = "paper/literature.yaml"
# Printed text, as against a name.
TEXT = re.compile(r"[<−-]?\s?\d")


def main() -> None:
    """Trace what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--figure", help="name of a figure or table")
    what.add_argument(
        "--number",
        help="a number of the paper by its name (lora.gain, table.results.lora.seeds), or as it is "
        "printed (1.631)",
    )
    what.add_argument("--file", type=Path, help="a figure file, wherever it was found")
    arguments = parser.parse_args()
    study = studies.load(arguments)
    folder, manifest = published(study)
    if arguments.number:
        trace_number(arguments.number, study, folder, manifest)
    elif arguments.file:
        trace_file(arguments.file, manifest)
    else:
        trace_figure(arguments.figure, study, folder, manifest)


def published(study: studies.Study) -> tuple[Path, dict]:
    """Return the results to look at: those of this machine, or else the released ones."""
    if (study.results / released.MANIFEST).is_file():
        return study.results, trace.with_card(study.manifest())
    return study.released, trace.with_card(released.read(study.released))


def trace_figure(name: str, study: studies.Study, folder: Path, manifest: dict) -> None:
    """Print the chain from the files of a figure or table to the runs and the text."""
    notebooks = {path.stem: path for path in Path("notebooks").glob("*.ipynb")}
    if name not in notebooks:
        raise UserError(f"figure '{name}': unknown{nearest(name, notebooks)}")
    facts = notebook_facts(notebooks[name])
    print(f"{facts['kind']} {name}")
    for path in sorted(study.results.glob(f"{facts['kind']}s/{name}.*")):
        print(f"  {path}: sha256 {sha256_file(path)}")
    print(f"made by\n  {notebooks[name]}: sha256 {sha256_file(notebooks[name])}")
    names = [table for table in facts["tables"] if table in manifest["tables"]]
    if "card" in facts["tables"] and not names:
        raise UserError(f"{facts['kind']} '{name}': {released.CARD} holds nothing yet")
    if len(names) < len(facts["tables"]):
        names = [table for table in manifest["tables"] if table != "card"]
    print_tables(names, folder, manifest)
    found = [
        (run["run"], run["seed"], table)
        for table in names if table in trace.BEHIND for run in manifest["runs"]
    ]  # fmt: skip
    print_rest(found, names, study, manifest)


def print_tables(names: list[str], folder: Path, manifest: dict) -> None:
    """Print the tables and whether they are those of the manifest."""
    print("from tables")
    for name in names:
        path, table = trace.table_file(name, folder), manifest["tables"][name]
        same = path.is_file() and sha256_file(path) == table["sha256"]
        note = "" if same else " (NOT the file that is there)"
        rows = f"{table['rows']} rows, " if "rows" in table else ""
        print(f"  {path}: {rows}sha256 {table['sha256']}{note}")


def print_rest(found: list, names: list[str], study: studies.Study, manifest: dict) -> None:
    """Print the runs behind tables, what all of them are made from, and the searches."""
    if names == ["card"]:
        print("measured by itself")
        print("\n".join(trace.measured_by_itself(manifest["tables"]["card"])))
        return
    if found:
        print("from runs")
        print("\n".join(trace.chain(manifest, found, study.results)))
    if "grid" in names:
        print("from searches")
        for name, sha256 in manifest["searches"].items():
            print(f"  {study.results / name}.csv: sha256 {sha256}")
    print(f"code of the study\n  commit {', '.join(map(str, manifest['commits']))}")
    print("from inputs")
    print("\n".join(trace.inputs(manifest)))


def read_paper(study: studies.Study, folder: Path, manifest: dict) -> numbers.Paper:
    """Return the numbers of the paper, from the tables that the manifest names."""
    there = [name for name in READERS if name in manifest["tables"]]
    paths = {name: trace.table_file(name, folder) for name in there}
    ledger = claims.read(CLAIMS, yaml_files.read_yaml(Path("config/corpora.yaml"))["domains"])
    return numbers.Paper(
        origins.Sources(
            read_tables(paths),
            manifest["settings"],
            load_settings(LITERATURE),
            ledger,
            ledger.unmet(study.config),
            manifest,
            TEMPLATE,
            study.name,
        )
    )


def trace_number(name: str, study: studies.Study, folder: Path, manifest: dict) -> None:
    """Print the chain of a number, or what every number is that is printed so."""
    paper = read_paper(study, folder, manifest)
    if not TEXT.match(name):
        print_number(paper.number(name), paper, study, folder, manifest)
        return
    found = paper.printed_as(name)
    if len(found) == 1:
        print_number(paper.number(found[0].name), paper, study, folder, manifest)
        return
    print(f"{len(found)} numbers are printed so; make trace NUMBER={found[0].name} prints a chain")
    for each in found:
        number = paper.number(each.name)
        print(f"{number.name} = {shown(number.value)}, printed as {each.text} by {each.place}")
        print(f"  {trace.briefly(number, manifest)}")


def print_number(
    number: origins.Number, paper: numbers.Paper, study: studies.Study, folder: Path, manifest: dict
) -> None:
    """Print the chain from a number to template, table rows, evaluations, runs and text."""
    print(f"number {number.name} = {shown(number.value)}")
    if number.note:
        print(f"  {number.note}")
    print("printed by")
    for place in paper.places(number.name) or ["no line of this paper by this name"]:
        print(f"  {place}")
    cells = trace.cells(number)
    names = [part.table for part in cells] or list(number.tables)
    print("computed by")
    for script in trace.scripts(number, names):
        print(f"  {script}: sha256 {sha256_file(script)}")
    for file in number.files:
        path = folder / file if file == released.MANIFEST else Path(file)
        print(f"from file\n  {path}: sha256 {sha256_file(path)}")
    if names:
        print_tables(names, folder, manifest)
    for part in cells:
        of_card = part.table == "card"
        print(f"rows of {released.CARD}, by part" if of_card else f"rows of {part.table}.csv")
        # What all rows of a card have in common is told once, below.
        common = ["study", *(("device", "commit", "shape", "versions") if of_card else ())]
        text = part.rows.drop(columns=common, errors="ignore").assign(line=part.lines)
        if of_card:
            text = text.dropna(axis="columns", how="all")
        print(text.to_string(index=False))
    print_rest(trace.runs_behind(cells, number, manifest), names, study, manifest)


def shown(value: Any) -> str:
    """Return a number, or an estimate with the half-width of its interval."""
    if isinstance(value, tuple):
        parts = [part for part in value if part == part and not isinstance(part, str)]
        return " ± ".join(map(str, parts)) or str(value[0])
    if hasattr(value, "half_width"):
        half = f" ± {significant(value.half_width)}" if value.has_interval else ""
        return f"{value.mean!r}{half} (n = {value.n})"
    return repr(value)


def trace_file(path: Path, manifest: dict) -> None:
    """Print what a figure file says about itself and whether the study is the one it is from."""
    found = metadata.read(path)
    print(f"{path}: figure {found['name']} of study {found['study']}, {found['results']} results")
    print(f"  drawn by commit {found['commit']}")
    notebook = found["notebook"]
    print(f"  notebook {notebook['path']}: sha256 {notebook['sha256']}")
    for name, table in found["tables"].items():
        known = manifest["tables"].get(name, {}).get("sha256")
        note = "the table of this study" if known == table["sha256"] else "ANOTHER table"
        print(f"  table {table['path']}: sha256 {table['sha256']} ({note})")


if __name__ == "__main__":
    run(main)
