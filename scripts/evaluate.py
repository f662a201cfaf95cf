"""Evaluate the models that the seeds of a run left behind: on every domain's test split, and on
downstream tasks, while each is in memory."""

from __future__ import annotations

import argparse
import os
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from jadapt.core import tables
from jadapt.core.files import load_settings, named_path, write_json
from jadapt.training.distributed import gpus
from jadapt.workflow.preloaded import run

if TYPE_CHECKING:
    from jadapt.evaluation.tasks.suite import Suite
    from jadapt.tokenization.tokenizers import Tokenizer


def main() -> None:
    """Parse the command line, evaluate, and write each seed's part of the metrics table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--method", required=True, help="name of the run")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--settings", required=True)
    parser.add_argument("--base", type=Path, required=True, help="the base model's folder")
    parser.add_argument("--runs", type=Path, required=True, help="holds one folder per seed")
    parser.add_argument("--tasks", nargs="+", required=True, help="in the order of training")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    parser.add_argument(
        "--downstream", type=Path, nargs="*", default=[], help="folders of prepared tasks"
    )
    parser.add_argument("--output", type=Path, required=True, help="gets a CSV a seed")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)

    with gpus.assigned(settings):
        evaluate(settings, arguments)


def evaluate(settings: dict, arguments: argparse.Namespace) -> None:
    """Evaluate the seeds in turn."""
    import torch

    from jadapt.evaluation.stages import Stages
    from jadapt.tokenization import tokenizers
    from jadapt.training.determinism import make_deterministic

    torch.set_num_threads(settings["threads"])
    make_deterministic(settings.get("accelerator", "cpu"), deterministic=True)
    tokenizer = tokenizers.load(arguments.tokenizer)
    stages = Stages(settings, dict(arguments.tokens), tokenizer, arguments.base)
    suite = _suite(settings, arguments.downstream, tokenizer) if arguments.downstream else None
    for seed in arguments.seeds:
        models = arguments.runs / f"seed{seed}" / "models"
        own: list[tuple] = []
        records: dict[str, dict] = {}
        run_columns = (arguments.study, arguments.method, seed)

        def written(row: tuple, columns: tuple = run_columns) -> tuple:
            return (*columns, *(repr(cell) if isinstance(cell, float) else cell for cell in row))

        def put(task: str, loaded: tuple, rows: list = own, kept: dict = records) -> None:
            scores, kept[task] = suite.evaluate(*loaded)
            rows += [(task, *astuple(score)) for score in scores]

        rows = list(
            stages.evaluate(
                {task: models / task for task in arguments.tasks}, put if suite else None
            )
        )
        target = arguments.output / f"seed{seed}"
        if suite:
            write_json(Path(f"{target}.tasks.json"), records)
            tables.TASKS.write(Path(f"{target}.tasks.csv"), map(written, own))
        tables.METRICS.write(Path(f"{target}.csv"), map(written, rows))


def _suite(settings: dict, folders: list[Path], tokenizer: Tokenizer) -> Suite:
    # The harness reads prepared files only; it is to ask for nothing.
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    from jadapt.evaluation.tasks.suite import Suite

    return Suite(
        folders,
        tokenizer,
        seed=settings["task_seed"],
        batch_tokens=settings["batch_size"] * settings["sequence_length"],
    )


if __name__ == "__main__":
    run(main)
