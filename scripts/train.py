"""Train one method through the study's sequence of tasks, in NeMo: one seed, or several in turn."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from jadapt.core.errors import UserError
from jadapt.core.files import load_settings, named_path, read_json, write_json
from jadapt.training.distributed import launching
from jadapt.workflow.preloaded import run


def main() -> None:
    """Parse the command line, train, and describe each run in its ``run.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the run's resolved configuration")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--learning-rate", type=Path, help="what a search chose (JSON)")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint to start from")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="kept between attempts; one folder per seed"
    )
    parser.add_argument("--output", type=Path, required=True, help="gets one folder per seed")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    tokens = dict(arguments.tokens)
    check(settings, arguments, tokens)
    launching.on_devices(settings, lambda: train_all(settings, arguments, tokens))


def train_all(settings: dict, arguments: argparse.Namespace, tokens: dict[str, Path]) -> None:
    """Train the seeds in turn, as one of as many processes as there are devices."""
    # Imported late: a mistake above is reported at once, not after the 10 s that NeMo takes.
    from jadapt.tokenization import tokenizers
    from jadapt.training.distributed import ranks
    from jadapt.training.module import AdaptationModule
    from jadapt.training.run import Places

    tokenizer = tokenizers.load(arguments.tokenizer)
    module = AdaptationModule(arguments.model)
    for seed in arguments.seeds:
        name = f"seed{seed}"
        places = Places(
            arguments.model, tokens, arguments.checkpoints / name, arguments.output / name
        )
        train({**settings, "seed": seed}, places, tokenizer, module)
    # Only now: if a later seed fails, the workflow deletes what the earlier ones put out.
    if ranks.is_rank_zero():
        for seed in arguments.seeds:
            shutil.rmtree(arguments.checkpoints / f"seed{seed}")


def check(settings: dict, arguments: argparse.Namespace, tokens: dict[str, Path]) -> None:
    """Report what is missing before anything heavy is loaded; put in the chosen learning rate."""
    from jadapt.models.loading import check_sequence_length
    from jadapt.training.distributed.devices import check_devices

    check_devices(settings)
    check_sequence_length(arguments.model, settings["sequence_length"])
    mixed = settings.get("mixture", {}).get("domain")
    for domain in filter(None, [*settings["sequence"], settings["source_domain"], mixed]):
        if domain not in tokens:
            raise UserError(f"--tokens: '{domain}' is missing; add {domain}=FOLDER")
    if arguments.learning_rate:
        settings["learning_rate"] = read_json(arguments.learning_rate)["learning_rate"]
    if isinstance(settings["learning_rate"], list):
        raise UserError("--settings: learning_rate is a grid; add --learning-rate FILE")


def train(settings: dict, places, tokenizer, module) -> None:
    """Train one seed, or take up what an earlier attempt did, and write its results."""
    from jadapt.training import provenance
    from jadapt.training.distributed import ranks
    from jadapt.training.run import Run

    started = time.time()

    def claim() -> None:
        expected = provenance.fingerprint(settings, places.model, places.tokens)
        provenance.claim(places.checkpoints, expected)

    with provenance.alone(places.checkpoints):
        ranks.on_rank_zero(claim)
        run = Run(settings, places, tokenizer, module)
        report = run.train()
        run.publish()
        if ranks.is_rank_zero():
            write_json(
                places.output / "run.json",
                {**provenance.describe(settings), **report, "seconds": time.time() - started},
            )


if __name__ == "__main__":
    run(main)
