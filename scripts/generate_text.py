"""Let the base model write text, and encode it as a domain that runs can remember."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings
from jadapt.training.distributed import gpus

LANGUAGE = "en"
# One document in so many is for validation.
VALIDATION = 20


def main() -> None:
    """Parse the command line and write the token files of both splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="tokens, length, batch_size, temperature")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True, help="the base model's folder")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="gets train/ and validation/")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    with gpus.assigned(settings):
        write(settings, arguments)


def write(settings: dict, arguments: argparse.Namespace) -> None:
    """Sample the documents, divide them and encode them."""
    import torch

    from jadapt.data.encoding import encode_corpus
    from jadapt.models.generation import sample
    from jadapt.models.loading import checkpoint
    from jadapt.tokenization import tokenizers
    from jadapt.training.determinism import make_deterministic

    torch.set_num_threads(settings["threads"])
    make_deterministic(settings["accelerator"], deterministic=True)
    tokenizer = tokenizers.load(arguments.tokenizer)
    model = checkpoint(arguments.model)
    if settings["accelerator"] == "gpu":
        model.to("cuda")
    wanted = {key: settings[key] for key in ("tokens", "length", "batch_size", "temperature")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splits: dict[str, list[str]] = {"train": [], "validation": []}
        for number, text in enumerate(sample(model, tokenizer, seed=arguments.seed, **wanted)):
            split = "train" if (number + 1) % VALIDATION else "validation"
            splits[split].append(json.dumps({"id": f"generated-{number}", LANGUAGE: text}))
        for split, lines in splits.items():
            path = folder / f"{split}.jsonl"
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            meta = encode_corpus(arguments.tokenizer, path, LANGUAGE, arguments.output / split)
            print(f"{split}: {meta['documents']:,} documents", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main)
