"""Train one run on the first task at every rate of its grid, and choose; or vary one setting."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from jadapt.core import tables
from jadapt.core.files import load_settings, write_json
from jadapt.evaluation import point_arguments
from jadapt.training.distributed import launching
from jadapt.workflow.preloaded import run


def main() -> None:
    """Parse the command line, search, write the table and the choice."""
    parser = point_arguments.parser(__doc__)
    parser.add_argument("--choice", type=Path, help="JSON with the chosen learning rate")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)

    first = settings["variants"][0]["settings"]
    launching.on_devices(first, lambda: search(settings, arguments))


def search(settings: dict, arguments: argparse.Namespace) -> None:
    """Train and evaluate every point; write the table and the choice, if this is the first of as
    many processes as there are devices."""
    from jadapt.evaluation.search import Search
    from jadapt.tokenization import tokenizers
    from jadapt.training.distributed import ranks

    points = Search(
        settings,
        study=arguments.study,
        model=arguments.model,
        tokens=dict(arguments.tokens),
        tokenizer=tokenizers.load(arguments.tokenizer),
        checkpoints=arguments.checkpoints,
    )
    rows, choices = points.run()
    if not ranks.is_rank_zero():
        return
    tables.GRID.write(arguments.table, rows)
    if arguments.choice:
        write_json(arguments.choice, {"learning_rate": choices[settings["variants"][0]["name"]]})
    shutil.rmtree(arguments.checkpoints)


if __name__ == "__main__":
    run(main)
