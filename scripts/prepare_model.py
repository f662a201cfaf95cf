"""Write the base model that a study starts from as a Hugging Face checkpoint."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from jadapt import seals
from jadapt.errors import run
from jadapt.files import load_settings


def main() -> None:
    """Parse the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="an entry of config/models.yaml")
    parser.add_argument("--tokenizer", type=Path, required=True, help="the tokenizer's folder")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    from jadapt.models import scratch
    from jadapt.text import tokenizers

    tokenizer = tokenizers.load(arguments.tokenizer)
    special_ids = {
        "bos_token_id": tokenizer.start_id,
        "eos_token_id": tokenizer.end_id,
        "pad_token_id": tokenizer.pad_id,
    }
    shutil.rmtree(arguments.output, ignore_errors=True)
    scratch.prepare(
        load_settings(arguments.settings),
        tokenizer.vocabulary_size,
        special_ids,
        arguments.seed,
        arguments.output,
    )
    seals.seal_folder(arguments.output)


if __name__ == "__main__":
    run(main)
