"""Write the base model that a study starts from as a Hugging Face checkpoint."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import load_settings
from jadapt.workflow.preloaded import run


def main() -> None:
    """Parse the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="an entry of config/models.yaml")
    parser.add_argument("--name", default="", help="name of that entry")
    parser.add_argument("--tokenizer", type=Path, required=True, help="the tokenizer's folder")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fetched", type=Path, help="fetched.json of a model in a package")
    parser.add_argument(
        "--mirror", type=Path, default=os.environ.get("JADAPT_MIRROR") or None,
        help="folder looked through before the Hub (default: $JADAPT_MIRROR)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    import torch

    from jadapt.core import seeds
    from jadapt.core.files import read_json
    from jadapt.models import extension, published, scratch
    from jadapt.tokenization import tokenizers, vocabulary

    settings = load_settings(arguments.settings)
    tokenizer = tokenizers.load(arguments.tokenizer)
    special_ids = {
        "bos_token_id": tokenizer.start_id,
        "eos_token_id": tokenizer.end_id,
        "pad_token_id": tokenizer.pad_id,
    }
    spelt = vocabulary.old_pieces(arguments.tokenizer)
    size = tokenizer.vocabulary_size - len(spelt or [])
    if settings["kind"] == "scratch":
        torch.manual_seed(seeds.stream("pretraining", arguments.seed, "weights"))
        model = scratch.build(settings, size, special_ids)
    else:
        meta = read_json(arguments.tokenizer / tokenizers.META_NAME)
        if meta.get("origin") != arguments.name:
            raise UserError(
                f"tokenizer: model '{arguments.name}' needs its own vocabulary; use kind: "
                f"pretrained with model: {arguments.name}, or kind: extended with that as base"
            )
        model = published.published(settings, arguments.fetched, arguments.mirror)
    if spelt is not None:
        extension.extend_embeddings(model, size, spelt)
    shutil.rmtree(arguments.output, ignore_errors=True)
    # In one file, whatever the size: readers and rules count on its name.
    model.save_pretrained(arguments.output, max_shard_size="1000GB")
    checksums.seal_folder(arguments.output)


if __name__ == "__main__":
    run(main)
