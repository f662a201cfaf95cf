"""Write one of a study's tables from its runs: metrics, efficiency, curves, fronts or grid."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core import tables
from jadapt.core.errors import run
from jadapt.evaluation import collection


def main() -> None:
    """Parse the command line and write the table."""
    # The paths of a thousand runs come in a file, `@paths.txt`, one per line.
    parser = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    kinds = parser.add_subparsers(dest="table", required=True)
    metrics = kinds.add_parser("metrics", help="from the evaluations of the runs")
    metrics.add_argument(
        "--source-domain", required=True, help="domain whose retention is reported"
    )
    metrics.add_argument("--evaluations", type=Path, nargs="+", required=True)
    efficiency = kinds.add_parser("efficiency", help="from run.json of the runs")
    curves = kinds.add_parser("curves", help="from train.jsonl of the runs")
    for table in (efficiency, curves):
        table.add_argument("--study", required=True)
        table.add_argument("--runs", type=Path, nargs="+", required=True, help="run.json files")
    curves.add_argument("--logs", type=Path, nargs="+", required=True, help="train.jsonl files")
    fronts = kinds.add_parser("fronts", help="from the fronts of the runs")
    grid = kinds.add_parser("grid", help="from the searches and ablations")
    for table in (fronts, grid):
        table.add_argument("--tables", type=Path, nargs="+", required=True)
    for table in (metrics, efficiency, curves, fronts, grid):
        table.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.table == "metrics":
        frame = collection.metrics_table(arguments.evaluations, arguments.source_domain)
    elif arguments.table == "efficiency":
        frame = collection.efficiency_table(arguments.runs, arguments.study)
    elif arguments.table == "fronts":
        frame = collection.fronts_table(arguments.tables)
    elif arguments.table == "grid":
        frame = collection.grid_table(arguments.tables)
    else:
        frame = collection.curves_table(arguments.logs, arguments.runs, arguments.study)
    tables.MEASURED[arguments.table].write_frame(arguments.output, frame)


if __name__ == "__main__":
    run(main)
