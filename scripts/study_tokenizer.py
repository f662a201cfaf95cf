"""Make one tokenizer of the tokenization study, measure it, and encode the text of its model."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings, named_path
from jadapt.core.tables import TOKENIZER_MEASURES

# Speeds are of one core. The library reads this when it is loaded.
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def main() -> None:
    """Parse the command line, prepare, and write the measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entry", required=True, help="of tokenization.tokenizers")
    parser.add_argument("--settings", required=True, help="sizes, words, languages and form")
    parser.add_argument("--models", default="{}", help="pretrained models that it may name")
    parser.add_argument("--fetched", type=named_path, nargs="*", default=[], metavar="MODEL=PATH")
    parser.add_argument(
        "--corpora", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR",
        help="what it is trained on",
    )  # fmt: skip
    parser.add_argument(
        "--texts", type=named_path, nargs="+", required=True, metavar="DOMAIN=DIR",
        help="what it is measured on and encodes",
    )  # fmt: skip
    parser.add_argument("--reference", type=Path, help="folder of the reference words")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    from jadapt.evaluation import tokenizer_study
    from jadapt.models.tokenizer_making import Materials

    settings = load_settings(arguments.settings)
    materials = Materials(
        {name: (settings["languages"][name], path / "train.jsonl")
         for name, path in arguments.corpora},
        load_settings(arguments.models),
        dict(arguments.fetched),
    )  # fmt: skip
    splits = {
        name: {split: path / f"{split}.jsonl" for split in ("train", "validation", "test")}
        for name, path in arguments.texts
    }
    shutil.rmtree(arguments.output, ignore_errors=True)
    entry = load_settings(arguments.entry)
    rows = tokenizer_study.prepare(
        entry, materials, splits, settings, arguments.output, arguments.reference
    )
    TOKENIZER_MEASURES.write(
        arguments.output / "measures.csv",
        (
            (domain, script, metric, repr(value), *rest)
            for domain, script, metric, value, *rest in rows
        ),
    )
    print(f"{arguments.output}: {len(rows)} measures", file=sys.stderr)


if __name__ == "__main__":
    run(main)
