"""Write a table of downstream tasks: scores of all models, or counts of their items."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import named_path
from jadapt.core.tables import TASK_DATA, TASKS
from jadapt.evaluation.tasks import tables


def main() -> None:
    """Parse the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="table", required=True)
    scores = kinds.add_parser("scores", help="of every model, beside chance and majority")
    scores.add_argument("--evaluations", type=Path, nargs="+", required=True)
    data = kinds.add_parser("data", help="items taken out, and found in training text")
    data.add_argument("--corpora", type=named_path, nargs="+", required=True, metavar="DOMAIN=FILE")
    for table in (scores, data):
        table.add_argument("--study", required=True)
        table.add_argument("--tasks", type=Path, nargs="+", required=True, help="their folders")
        table.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    if given.table == "scores":
        frame = tables.scores_table(given.study, given.evaluations, given.tasks)
        TASKS.write_frame(given.output, frame)
    else:
        frame = tables.data_table(given.study, given.tasks, dict(given.corpora))
        TASK_DATA.write_frame(given.output, frame)


if __name__ == "__main__":
    run(main)
