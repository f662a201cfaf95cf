"""Print where a figure, a table or a number of the paper comes from, down to checksums."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from pathlib import Path

from jadapt.analysis import numbers
from jadapt.analysis.numbers import Number, Numbered, read_rows
from jadapt.config import studies
from jadapt.core import notebooks, released
from jadapt.core.errors import UserError, nearest, run
from jadapt.core.files import sha256_file
from jadapt.release import trace

# Printed text, as against a name.
TEXT = re.compile(r"[<=−-]?\s?\d")
PRINTED = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
MANY = 40


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
    known = notebooks.declared(Path("notebooks"), list(trace.TABLES))
    if name not in known:
        raise UserError(f"figure '{name}': unknown{nearest(name, known)}")
    facts = known[name]
    print(f"{facts['kind']} {name}")
    for path in sorted(study.results.glob(f"{facts['kind']}s/{name}.*")):
        print(f"  {path}: sha256 {sha256_file(path)}")
    notebook = Path("notebooks", f"{name}.ipynb")
    print(f"made by\n  {notebook}: sha256 {sha256_file(notebook)}")
    names = [table for table in facts["tables"] if table in manifest["tables"]]
    if "card" in facts["tables"] and not names:
        raise UserError(f"{facts['kind']} '{name}': {released.CARD} holds nothing yet")
    if len(names) < len(facts["tables"]):
        names = [table for table in manifest["tables"] if table != "card"]
    print_tables(names, folder, manifest)
    found = [
        (each["run"], each["seed"], table)
        for table in names if trace.TABLES[table].behind for each in manifest["runs"]
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
    if "fronts" in names:
        print("from fronts")
        print("\n".join(trace.of_fronts(manifest)))
    print(f"code of the study\n  commit {', '.join(map(str, manifest['commits']))}")
    print("from inputs")
    print("\n".join(trace.inputs(manifest)))


def read_numbers(study: studies.Study, folder: Path, manifest: dict) -> Numbered:
    """Return the numbers of the study's paper; of a release that is not built here, from its
    tables."""
    path = study.results / "numbers.csv"
    if path.is_file():
        return numbers.read(path)
    print(f"note: {path} is not there (snakemake numbers); computing it", file=sys.stderr)
    from jadapt.paper import values

    return values.of_release(folder, manifest)


def trace_number(name: str, study: studies.Study, folder: Path, manifest: dict) -> None:
    """Print the chain of a number, or what every number is that is printed so."""
    known = read_numbers(study, folder, manifest)
    if name in known:
        print_number(known[name], study, folder, manifest)
        return
    if not TEXT.match(name):
        raise UserError(f"number '{name}': not in the paper{nearest(name, known)}")
    found = printed_as(name, known)
    if len(found) == 1:
        print_number(found[0], study, folder, manifest)
        return
    print(f"{len(found)} numbers are printed so; make trace NUMBER={found[0].name} prints a chain")
    for number in found:
        print(f"{number.name} = {number.value!r}, printed as {number.printed}")
        print(f"  from {number.table} {number.rows}")


def printed_as(text: str, known: Numbered) -> list[Number]:
    """Return the numbers that are printed so.

    Raises:
        UserError: no number is; the nearest are given.
    """
    wanted = text.strip().replace("-", "−")
    by_text: dict[str, list[Number]] = {}
    for number in known.values():
        for part in {number.printed, *PRINTED.findall(number.printed)}:
            by_text.setdefault(part, []).append(number)
    if wanted not in by_text:
        near = difflib.get_close_matches(wanted, by_text, n=3, cutoff=0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UserError(f"number '{text}': the paper has no such number{hint}")
    return by_text[wanted]


def print_number(number: Number, study: studies.Study, folder: Path, manifest: dict) -> None:
    """Print the chain from a number to table rows, runs and text."""
    known = number.low == number.low
    ends = f", from {number.low!r} to {number.high!r}" if known else ""
    unit = f" {number.unit}" if number.unit else ""
    print(f"number {number.name} = {number.value!r}{unit}{ends}")
    print(f"printed as\n  {number.printed}")
    print("computed by")
    for script in trace.scripts(number):
        print(f"  {script}: sha256 {sha256_file(Path(script))}")
    of = read_rows(number.rows)
    if not of:
        path = folder / number.table if number.table == released.MANIFEST else Path(number.table)
        print(f"from file\n  {path}, {number.rows}: sha256 {sha256_file(path)}")
    names = [name for name in number.table.split() if name in manifest["tables"]]
    if names:
        print_tables(names, folder, manifest)
    for part in of:
        print(f"rows of {part.table}: {part}")
        found = trace.found_rows(part, folder)
        for file, line, row in found[:MANY]:
            cells = (f"{key}={value}" for key, value in row.items() if value and key != "study")
            print(f"  {file}:{line}: {', '.join(cells)}")
        if len(found) > MANY:
            print(f"  and {len(found) - MANY} more")
    print_rest(trace.runs_behind(of, folder), names, study, manifest)


def trace_file(path: Path, manifest: dict) -> None:
    """Print what a figure file says about itself and whether the study is the one it is from."""
    from jadapt.figures import metadata

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
