"""Train a small model with each tokenizer of the tokenization study; write the study's table."""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

from jadapt.core.files import load_settings, named_path
from jadapt.core.tables import TOKENIZER_MEASURES, TOKENIZERS
from jadapt.workflow.preloaded import run


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
    TOKENIZERS.write(arguments.output, rows(arguments.study, folders, trained))
    shutil.rmtree(arguments.checkpoints)


def rows(study: str, folders: dict[str, Path], trained: list) -> Iterator[tuple]:
    """Yield what was measured of the tokenizers themselves, then of the models with them."""
    for name, folder in folders.items():
        path = folder / "measures.csv"
        measures = TOKENIZER_MEASURES.read_text(path)
        TOKENIZER_MEASURES.check(measures.columns, path)
        for row in measures.itertuples(index=False, name=None):
            yield study, name, "", 0, *row
    for point, (domain, metric, value, unit, n) in trained:
        value = repr(math.nan if value is None else value)
        who = (study, point.tokenizer, point.variant, point.seed)
        yield *who, domain, "all", metric, value, unit, n, "", ""


if __name__ == "__main__":
    run(main)
