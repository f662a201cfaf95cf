"""Train one run on the first task at every rate of its grid, and choose; or vary one setting."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from jadapt.core import tables
from jadapt.core.files import load_settings, named_path, write_json
from jadapt.training.distributed import launching
from jadapt.workflow.preloaded import run


def main() -> None:
    """Parse the command line, search, write the table and the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--settings", required=True, help="rates, seeds and variants to train")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint to start from")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept between attempts")
    parser.add_argument("--table", type=Path, required=True, help="CSV of every point of the grid")
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
