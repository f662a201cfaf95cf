"""Publish what was measured on GPUs: copy benchmarks' rows to paper/released/efficiency/.

The paper of every study shows what lies there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import gpu_cases
import two_gpus_tables

from jadapt.core import code_version
from jadapt.core.errors import UserError, run
from jadapt.core.released import CARD
from jadapt.release import gpu_benchmark, two_gpus


def main() -> None:
    """Check that all rows are of one machine and one code; only then write anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=Path, required=True, help="folder of bench_gpu.py")
    parser.add_argument("--two-gpus", type=Path, help="folder of bench_two_gpus.py")
    parser.add_argument("--output", type=Path, default=Path(CARD), help="default: %(default)s")
    arguments = parser.parse_args()
    rows, notes = gpu_benchmark.read_rows(arguments.bench)
    if found := gpu_benchmark.faults(rows):
        raise UserError(f"{arguments.bench}: not released: {gpu_benchmark.few(found)}")
    of_two: list[dict] = []
    if arguments.two_gpus:
        of_two, more = rows_of_two(arguments.two_gpus, rows[0])
        notes += more
    elif (arguments.output / f"{two_gpus.PART}.csv").is_file():
        notes.append(f"{two_gpus.PART}.csv of the earlier release is gone; --two-gpus FOLDER")
    absent = gpu_benchmark.not_measured(rows, cases_of(rows))
    written = gpu_benchmark.publish(rows, absent, arguments.output, of_two)
    for note in notes:
        print(f"note: {note}")
    if any(row["commit"].endswith(code_version.CHANGED) for row in (*rows, *of_two)):
        print("note: measured with changes that were not committed; the paper says so")
    if absent:
        parts = dict.fromkeys(case["part"] for case in absent)
        print(f"note: {len(absent)} cases were not measured, of {', '.join(parts)}")
    print(f"released {len(rows) + len(of_two)} rows, measured on {rows[0]['device']}:")
    for path in written:
        print(f"  {path}")


def rows_of_two(folder: Path, card: dict) -> tuple[list[dict], list[str]]:
    """Return the rows of two GPUs that may stand beside those of one card, and notes."""
    measured, notes = two_gpus.read_rows(folder)
    compared = two_gpus_tables.compared(measured)
    if found := two_gpus.faults(compared, card):
        raise UserError(f"{folder}: not released: {gpu_benchmark.few(found)}")
    return two_gpus.as_part(compared), notes


def cases_of(rows: list[dict]) -> Iterator[gpu_cases.Case]:
    """Yield the cases that the benchmark has, each as often as its part was repeated."""
    for part in gpu_cases.PARTS:
        repeats = 1 + max((row.get("repeat", 0) for row in rows if row["part"] == part), default=0)
        yield from gpu_cases.cases(rows[0]["shape"], [part], repeats)


if __name__ == "__main__":
    run(main)
