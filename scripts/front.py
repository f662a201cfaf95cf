"""Train a run at every rate and strength of its front, measure, choose; or vary one setting."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jadapt.core.errors import run
from jadapt.core.files import load_settings, write_json
from jadapt.core.tables import FRONTS
from jadapt.evaluation import point_arguments
from jadapt.training.distributed import launching

if TYPE_CHECKING:
    from jadapt.evaluation.selection import Choice


def main() -> None:
    """Parse the command line; write the table, the losses by document and the choice."""
    parser = point_arguments.parser(__doc__)
    parser.add_argument("--documents", type=Path, help="Parquet file of the losses by document")
    parser.add_argument(
        "--finished", action="store_true",
        help="train nothing: write what the points that are finished have so far",
    )  # fmt: skip
    parser.add_argument("--choice", type=Path, help="JSON with the chosen point and what made it")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    first = settings["variants"][0]["settings"]
    launching.on_devices(first, lambda: measure(settings, arguments))


def measure(settings: dict, arguments: argparse.Namespace) -> None:
    """Train and measure every point; the first of as many processes as devices writes files."""
    from jadapt.evaluation.documents import gather
    from jadapt.evaluation.fronts import Front
    from jadapt.tokenization import tokenizers
    from jadapt.training.distributed import ranks

    front = Front(
        settings,
        study=arguments.study,
        model=arguments.model,
        tokens=dict(arguments.tokens),
        tokenizer=tokenizers.load(arguments.tokenizer),
        work=arguments.checkpoints,
        train=not arguments.finished,
    )
    rows, choice = front.run()
    if not ranks.is_rank_zero():
        return
    FRONTS.write(arguments.table, rows)
    if arguments.documents:
        gather(front.documents(), arguments.documents)
    if arguments.choice:
        write_json(arguments.choice, {**chosen(settings, choice), "record": record(settings)})
    if not arguments.finished:
        shutil.rmtree(arguments.checkpoints)


def chosen(settings: dict, choice: Choice | None) -> dict:
    """Return the chosen point; nothing of it while points are missing."""
    if choice is None:
        return {}
    point = asdict(choice)
    point["learning_rate"] = point.pop("rate")
    strength = settings["strengths"].get(choice.strength)
    return {**point, "strength_key": settings["strength_key"], "strength": strength}


def record(settings: dict) -> dict:
    """Return the commit, lock file, device and versions that the front is made with."""
    from jadapt.training import provenance

    made_with = provenance.describe(settings["variants"][0]["settings"])
    del made_with["settings"]
    return made_with


if __name__ == "__main__":
    run(main)
