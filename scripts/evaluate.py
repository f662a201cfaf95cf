"""Evaluate the models that the seeds of a run left behind on every domain's test split."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core import tables
from jadapt.core.files import load_settings, named_path
from jadapt.training.distributed import gpus
from jadapt.workflow.preloaded import run


def main() -> None:
    """Parse the command line, evaluate, and write each seed's part of the metrics table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--method", required=True, help="name of the run")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--settings", required=True)
    parser.add_argument("--base", type=Path, required=True, help="the base model's folder")
    parser.add_argument("--runs", type=Path, required=True, help="holds a folder a seed")
    parser.add_argument("--tasks", nargs="+", required=True, help="in the order of training")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
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
    for seed in arguments.seeds:
        models = arguments.runs / f"seed{seed}" / "models"
        rows = stages.evaluate({task: models / task for task in arguments.tasks})
        run_columns = (arguments.study, arguments.method, seed)
        tables.METRICS.write(
            arguments.output / f"seed{seed}.csv",
            (
                (*run_columns, task, domain, metric, repr(value), unit, n)
                for task, domain, metric, value, unit, n in rows
            ),
        )


if __name__ == "__main__":
    run(main)
