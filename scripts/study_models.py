"""Train a small model with each tokenizer of the tokenization study; write the study's table."""

from __future__ import annotations

import argparse
import csv
import math
import shutil
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import atomic, load_settings, named_path

COLUMNS = (
    "study", "tokenizer", "variant", "seed", "domain", "script", "metric", "value", "unit", "n",
    "reference", "gold",
)  # fmt: skip


def main() -> None:
    """Parse the command line, train, evaluate, and put the measures of the tokenizers before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--settings", required=True, help="training, model, seeds and variants")
    parser.add_argument(
        "--tokenizers", type=named_path, nargs="+", required=True, metavar="NAME=DIR"
    )
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept between attempts")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    from jadapt.evaluation.tokenizer_models import TokenizerModels

    folders = dict(arguments.tokenizers)
    models = TokenizerModels(load_settings(arguments.settings), folders, arguments.checkpoints)
    trained = list(models.run())
    with (
        atomic(arguments.output) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, folder in folders.items():
            with open(folder / "measures.csv", encoding="utf-8", newline="") as measures:
                for row in csv.DictReader(measures):
                    writer.writerow((arguments.study, name, "", 0, *row.values()))
        for point, (domain, metric, value, unit, n) in trained:
            writer.writerow(
                (
                    arguments.study, point.tokenizer, point.variant, point.seed, domain, "all",
                    metric, repr(math.nan if value is None else value), unit, n, "", "",
                )
            )  # fmt: skip
    shutil.rmtree(arguments.checkpoints)


if __name__ == "__main__":
    run(main)
