"""Train the tokenizer of a study on its training splits."""

from __future__ import annotations

import argparse
import sys
import time

from jadapt.errors import UserError, run
from jadapt.files import load_settings
from jadapt.text.sentencepiece_training import TokenizerSettings, train


def corpus_argument(value: str) -> tuple[str, str]:
    """Split ``ja=PATH`` into the field that holds the text and the file."""
    language, separator, path = value.partition("=")
    if language not in ("ja", "en") or not separator or not path:
        raise UserError(f"--corpus {value}: expected ja=PATH or en=PATH")
    return language, path


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON, or the path of a JSON/YAML file")
    parser.add_argument(
        "--corpus", required=True, nargs="+", metavar="LANGUAGE=PATH", help="training splits"
    )
    parser.add_argument("--output", required=True, help="the directory of the tokenizer")
    arguments = parser.parse_args()

    begin = time.perf_counter()
    settings = TokenizerSettings.from_mapping(load_settings(arguments.settings))
    corpora = [corpus_argument(value) for value in arguments.corpus]
    meta = train(settings, corpora, arguments.output)
    for corpus in meta["trained_on"]:
        print(f"{corpus['path']}: {corpus['sentences_used']:,} sentences", file=sys.stderr)
    seconds = time.perf_counter() - begin
    print(
        f"{arguments.output}: {meta['model_type']}, {meta['vocabulary_size']:,} entries, "
        f"{seconds:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run(main)
