"""From rows of a study's tables back to the runs, texts and programs behind them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from jadapt.analysis.numbers import Number, Rows
from jadapt.core.files import read_json, sha256_file
from jadapt.core.released import CARD, CARD_RECORD, MACHINE, card_parts
from jadapt.core.tables import CLAIMS, FRONT_MEASURES, GPU_BENCHMARK, MEASURED, Table

SHOWN = 12
TABLES: dict[str, Table] = {
    **MEASURED, "card": GPU_BENCHMARK, "claims": CLAIMS, "front_measures": FRONT_MEASURES
}  # fmt: skip


def found_rows(of: Rows, folder: Path) -> list[tuple[str, int, dict[str, str]]]:
    """Return the rows of a table as (file, line, cells by column); lines count from one."""
    found = []
    where = {key: values for key, values in of.where.items() if key != "part"}
    for path in _files(of, folder):
        with open(path, encoding="utf-8", newline="") as stream:
            for line, row in enumerate(csv.DictReader(stream), 2):
                if Rows(of.table, where).holds(row):
                    found.append((path.name, line, row))
    return found


def _files(of: Rows, folder: Path) -> list[Path]:
    if of.table == "card":
        parts = of.where.get("part", ())
        return [Path(CARD, f"{name}.csv") for name in card_parts() if not parts or name in parts]
    path = table_file(of.table, folder)
    return [path] if path.is_file() else []


def runs_behind(of: Iterable[Rows], folder: Path) -> list[tuple[str, int, str]]:
    """Return (run, seed, table) of the rows, each once."""
    behind = {
        (row["method"], int(float(row["seed"])), part.table): None
        for part in of
        if TABLES[part.table].behind
        for _, _, row in found_rows(part, folder)
    }
    return list(behind)


def chain(manifest: dict, behind: Iterable[tuple[str, int, str]], folder: Path) -> list[str]:
    """Return the lines from files of runs to their commit and their inputs.

    Args:
        manifest: the manifest of the study.
        behind: (run, seed, table) as `runs_behind` returns them.
        folder: the results of the study on this machine, which need not be there.
    """
    runs = {(run["run"], run["seed"]): run for run in manifest["runs"]}
    lines: list[str] = []
    for name, seed, table in behind:
        run = runs.get((name, seed))
        if run is None:
            continue
        path = folder / TABLES[table].behind.format(run=name, seed=seed)
        here = "" if path.exists() else " (not on this machine)"
        lines += [
            f"  {path}{here}",
            f"    sha256 {run[TABLES[table].checksum]}",
            f"    run {name}, seed {seed}: run.json sha256 {run['run_sha256']}",
            f"    commit {run['commit']}, lock sha256 {str(run['lock'])[:SHOWN]}…, {run['device']}",
        ]
    return lines


def of_fronts(manifest: dict) -> list[str]:
    """Return the lines from the table of fronts to what made each of them."""
    return [
        f"  {run}: {own['points']} points, {own['seconds']:.0f} s, commit {own['commit']}, "
        f"{own['device']}, table sha256 {own['table_sha256']}"
        for run, own in manifest.get("fronts", {}).items()
    ]


def inputs(manifest: dict) -> list[str]:
    """Return the lines of what every run is made from: tokenizer, token files, corpora, sources."""
    lines = [f"  tokenizer: sha256 {manifest['tokenizer']}"]
    for name, tokens in manifest["tokens"].items():
        lines.append(f"  tokens {name}: sha256 {tokens['tokens_sha256']}")
    for domain, corpus in manifest["corpora"].items():
        for split, sha256 in corpus["splits"].items():
            lines.append(f"  corpus {domain}/{split}: sha256 {sha256}")
        for name, source in corpus["sources"].items():
            for file in source.get("files", []):
                lines.append(f"    from {name}: {file['file']}, sha256 {file['sha256']}")
            if "pins" in source:
                lines.append(f"    from {name}: the files of {source['pins']}")
    return lines


def scripts(number: Number) -> list[str]:
    """Return the programs between the runs and a number, the first to work first."""
    made = [
        script for table in number.table.split() if table in TABLES
        for script in TABLES[table].programs
    ]  # fmt: skip
    return list(dict.fromkeys([*made, "scripts/compute_numbers.py"]))


def with_card(manifest: dict) -> dict:
    """Return a manifest with what was measured on a GPU by itself among its tables, if released."""
    record = Path(CARD_RECORD)
    if not record.is_file():
        return manifest
    machine = read_json(Path(CARD, MACHINE))
    facts = {"sha256": sha256_file(record), "commit": machine["commit"]}
    facts |= {"device": machine["device"], "versions": machine["versions"]}
    return {**manifest, "tables": {**manifest["tables"], "card": facts}}


def table_file(name: str, folder: Path) -> Path:
    """Return the file of a table; that of a GPU's measurements is the record of its files."""
    return Path(CARD_RECORD) if name == "card" else folder / f"{name}.csv"


def measured_by_itself(facts: dict) -> list[str]:
    """Return the lines from a GPU's measurements to the machine and the code."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return [f"  commit {facts['commit']}, {facts['device']}", f"  {versions}"]
