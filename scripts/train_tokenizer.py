"""Make the tokenizer of a study: trained on its training splits, published, or extended."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from jadapt.core.errors import UserError, run
from jadapt.core.files import load_settings, named_path
from jadapt.models.tokenizer_making import Materials, make


def corpus_argument(value: str) -> tuple[str, tuple[str, Path]]:
    """Split ``DOMAIN:ja=PATH`` into the domain, the field that holds the text and the file.

    Without a domain, the path stands for it.
    """
    name, separator, path = value.partition("=")
    domain, _, language = name.rpartition(":")
    if language not in ("ja", "en") or not separator or not path:
        raise UserError(f"--corpus {value}: expected ja=PATH or en=PATH")
    return domain or path, (language, Path(path))


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON, or the path of a JSON/YAML file")
    parser.add_argument(
        "--corpus", action="extend", nargs="+", default=[], metavar="[DOMAIN:]LANGUAGE=PATH",
        help="training splits",
    )  # fmt: skip
    parser.add_argument("--models", default="{}", help="pretrained models that it may name")
    parser.add_argument(
        "--fetched", type=named_path, action="extend", nargs="+", default=[], metavar="MODEL=PATH"
    )
    parser.add_argument(
        "--mirror", type=Path, default=os.environ.get("JADAPT_MIRROR") or None,
        help="folder looked through before the Hub (default: $JADAPT_MIRROR)",
    )  # fmt: skip
    parser.add_argument("--output", required=True, help="the directory of the tokenizer")
    arguments = parser.parse_args()

    begin = time.perf_counter()
    materials = Materials(
        dict(corpus_argument(value) for value in arguments.corpus),
        load_settings(arguments.models),
        dict(arguments.fetched),
        arguments.mirror,
    )
    meta = make(load_settings(arguments.settings), materials, Path(arguments.output))
    for corpus in meta.get("trained_on", []):
        print(f"{corpus['path']}: {corpus['sentences_used']:,} sentences", file=sys.stderr)
    seconds = time.perf_counter() - begin
    print(
        f"{arguments.output}: {meta['kind']}, {meta['vocabulary_size']:,} entries, {seconds:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run(main)
