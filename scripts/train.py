"""Train one method with one seed through the study's sequence of tasks, in NeMo."""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from jadapt.errors import UserError, run
from jadapt.files import load_settings, named_path, write_json


def main() -> None:
    """Parse the command line, train, and describe the run in ``run.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the run's resolved configuration")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint to start from")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--tokens", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR")
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept between attempts")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.time()
    settings = load_settings(arguments.settings)

    from jadapt.models.loading import check_sequence_length
    from jadapt.text import tokenizers

    check_sequence_length(arguments.model, settings["sequence_length"])
    tokens = dict(arguments.tokens)
    trace = settings.get("trace", {}).get("domain")
    for domain in filter(None, [*settings["sequence"], settings["known_domain"], trace]):
        if domain not in tokens:
            raise UserError(f"--tokens: '{domain}' is missing; add {domain}=FOLDER")

    # Imported late: a mistake above is reported at once, not after the 10 s that NeMo takes.
    from jadapt.training import provenance
    from jadapt.training.sequence import Places, Run

    places = Places(arguments.model, tokens, arguments.checkpoints, arguments.output)
    with provenance.alone(arguments.checkpoints):
        arguments.output.mkdir(parents=True, exist_ok=True)
        provenance.claim(
            arguments.checkpoints, provenance.fingerprint(settings, arguments.model, tokens)
        )
        report = Run(settings, places, tokenizers.load(arguments.tokenizer)).train()
        write_json(
            arguments.output / "run.json",
            {**provenance.describe(settings), **report, "seconds": time.time() - started},
        )
        shutil.rmtree(arguments.checkpoints)


if __name__ == "__main__":
    run(main)
