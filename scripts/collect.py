"""Write metrics.csv, efficiency.csv and curves.csv of a study from its runs and evaluations."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.errors import run
from jadapt.evaluation import collection
from jadapt.files import atomic


def main() -> None:
    """Parse the command line and write the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--known", required=True, help="domain whose retention is reported")
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run.json files")
    parser.add_argument("--logs", type=Path, nargs="+", required=True, help="train.jsonl files")
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    arguments = parser.parse_args()
    tables = {
        "metrics": collection.metrics_table(arguments.evaluations, arguments.known),
        "efficiency": collection.efficiency_table(arguments.runs, arguments.study),
        "curves": collection.curves_table(arguments.logs, arguments.runs, arguments.study),
    }
    for name, table in tables.items():
        with atomic(arguments.output / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
