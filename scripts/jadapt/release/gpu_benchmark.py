"""Release the results of `benchmarks/bench_gpu.py` for one GPU: one table per part.

What all rows have in common (device, versions, commit, shape) is written once, to ``machine.json``.
`jadapt.analysis.gpu_benchmark` reads the folder back. `jadapt.release.two_gpus` adds a part that
was measured on two GPUs of the same kind.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import atomic, replaced_folder, write_json
from jadapt.core.released import CARD_FORMAT, MACHINE
from jadapt.core.tables import GPU_BENCHMARK
from jadapt.release.publish import few

ROWS = "rows.jsonl"
TINY = "tiny"
# Keys of a row that describe the machine and the code, and keys that describe the measurement.
OF_MACHINE = ("device", "shape", "commit", "versions")
OF_MEASURING = ("warmup", "steps")
NEEDED = ("part", "case", "stack", "label", "rows", "length", "precision", "full", *OF_MACHINE)
# Keys by which the release names a case that was not measured.
OF_CASE = ("part", "stack", "label", "change", "precision", "rows", "length", "repeat")


def read_rows(
    folder: Path, needed: Iterable[str] = NEEDED, command: str = "make bench-gpu OUTPUT={}"
) -> tuple[list[dict], list[str]]:
    """Read the rows of a benchmark, without changing its files.

    Args:
        folder: the output folder of the benchmark.
        needed: the keys that every row must have.
        command: the command that measures, for messages; ``{}`` stands for the folder.

    Returns:
        The rows, and notes for the user. An incomplete last line, as a killed process leaves it, is
        left out and noted.

    Raises:
        UserError: there are no rows, or one that is not the last is broken.
    """
    path = folder / ROWS
    if not path.is_file():
        raise UserError(f"{path}: no such file; measure first ({command.format(folder)})")
    rows, notes = [], []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number < len(lines):
                raise UserError(f"{path}:{number}: not a row of JSON; delete the line") from None
            notes.append(f"{path}:{number}: cut off, left out")
            break
        missing = [key for key in needed if key not in row]
        if missing:
            raise UserError(f"{path}:{number}: key '{missing[0]}' is missing; delete the line")
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: nothing measured yet; {command.format(folder)}")
    return rows, notes


def faults(rows: list[dict]) -> list[str]:
    """Return the reasons why rows cannot be released; an empty list if they can."""
    found = []
    for key in OF_MACHINE:
        # A benchmark may take days, so parts may be of different commits, but each of one commit.
        tables = [row["part"] if key == "commit" else "" for row in rows]
        for table in dict.fromkeys(tables):
            own = (row for row, part in zip(rows, tables, strict=True) if part == table)
            of = Counter(str(row[key]) for row in own)
            if len(of) > 1:
                counts = ", ".join(f"{text[:60]} ({n} rows)" for text, n in of.most_common())
                where = f" in part '{table}'" if table else ""
                found.append(
                    f"rows of more than one {key}{where}: {counts}; measure in a folder for each"
                )
    names = [row["case"] for row in rows]
    return found + unfit(rows, names, "measure with bench_gpu.py --commit")


def unfit(rows: list[dict], names: list[str], remedy: str) -> list[str]:
    """Return the reasons why rows of any benchmark cannot be released, whatever their machine.

    Args:
        rows: rows of a benchmark.
        names: a name for each row, by which repeated measurements are found.
        remedy: how to measure so that the commit is known, for messages.
    """
    found = []
    if any(row["shape"] == TINY for row in rows):
        found.append(f"rows of the shape '{TINY}', which only tries the benchmark out")
    if any(row["commit"] in (None, "", "unknown") for row in rows):
        found.append(f"rows of an unknown commit; {remedy}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        found.append(f"measured twice: {few(twice)}; delete one row of each")
    return found


def not_measured(rows: list[dict], cases: Iterable[Any]) -> list[dict]:
    """Return the cases of the benchmark (see ``benchmarks/gpu_cases.py``) that have no row.

    A case that needs more memory than one that ran out of memory counts as measured.
    """
    names = {row["case"] for row in rows}
    full = [row for row in rows if row["full"]]
    return [
        {key: getattr(case, key) for key in OF_CASE}
        for case in cases
        if case.name not in names and not any(case.exceeds(row) for row in full)
    ]


def machine(rows: list[dict], absent: list[dict], of_two: Sequence[dict] = ()) -> dict[str, Any]:
    """Return the content of ``machine.json``: what all rows share, and what was not measured."""
    first = rows[0]
    common = [key for key in OF_MEASURING if len({str(row.get(key)) for row in rows}) == 1]
    return {
        "format_version": CARD_FORMAT,
        "device": first["device"],
        # If there are several commits, each row also has its own.
        "commit": " ".join(dict.fromkeys(row["commit"] for row in (*rows, *of_two))),
        "shape": first["shape"],
        "versions": dict(pair.split("=", 1) for pair in first["versions"].split()),
        **{key: first[key] for key in common if first.get(key) is not None},
        "not_measured": absent,
    }


def publish(
    rows: list[dict], absent: list[dict], target: Path, of_two: Sequence[dict] = ()
) -> list[Path]:
    """Write one CSV per part, ``machine.json`` and ``SHA256SUMS``, replacing an earlier release.

    Args:
        rows: rows without `faults`, with no column that `jadapt.core.tables` lacks.
        absent: cases as `not_measured` returns them.
        target: the folder, which is replaced as a whole or not at all.
        of_two: rows of the part that `jadapt.release.two_gpus` adds.
    """
    every = [*rows, *of_two]
    facts = machine(rows, absent, of_two)
    left_out = {"part", "case", *OF_MACHINE, *(key for key in OF_MEASURING if key in facts)}
    if len({row["commit"] for row in every}) > 1:
        left_out.discard("commit")
    with replaced_folder(target) as new:
        for part in dict.fromkeys(row["part"] for row in every):
            own = [row for row in every if row["part"] == part]
            columns = dict.fromkeys(key for row in own for key in row if key not in left_out)
            _write(new / f"{part}.csv", list(columns), own)
        write_json(new / MACHINE, facts)
        checksums.seal_folder(new)
    return sorted(target.iterdir())


def _write(path: Path, columns: list[str], rows: list[dict]) -> None:
    GPU_BENCHMARK.check(columns, path)
    with (
        atomic(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(key)) for key in columns] for row in rows)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
