"""Train a run at every rate and strength of its front, measure, choose; or vary one setting."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings, named_path, write_json
from jadapt.core.tables import FRONTS
from jadapt.training.distributed import launching


def main() -> None:
    """Parse the command line; write the table, the losses by document and the choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--settings", required=True, help="rates, seeds and variants to train")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint to start from")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept between attempts")
    parser.add_argument("--table", type=Path, required=True, help="CSV of every point")
    parser.add_argument("--documents", type=Path, help="Parquet file of the losses by document")
    parser.add_argument("--choice", type=Path, help="JSON with the chosen point")
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
    )
    rows, choice = front.run()
    if not ranks.is_rank_zero():
        return
    FRONTS.write(arguments.table, rows)
    if arguments.documents:
        gather(front.documents(), arguments.documents)
    if arguments.choice and choice:
        point = asdict(choice)
        point["learning_rate"] = point.pop("rate")
        key, values = settings["strength_key"], settings["strengths"]
        strength = {"strength_key": key, "strength": values.get(choice.strength)}
        write_json(arguments.choice, {**point, **strength})
    shutil.rmtree(arguments.checkpoints)


if __name__ == "__main__":
    run(main)
