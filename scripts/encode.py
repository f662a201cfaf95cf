"""Encode one split of a corpus with a trained tokenizer."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from jadapt.core.errors import run
from jadapt.data.encoding import encode_corpus


def main() -> None:
    """Encode from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, help="the directory of the tokenizer")
    parser.add_argument("--corpus", required=True, help="JSON lines, one document a line")
    parser.add_argument(
        "--language", required=True, choices=("ja", "en"), help="the field that holds the text"
    )
    parser.add_argument("--output", required=True, help="the directory of the token files")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    arguments = parser.parse_args()

    # A scheduler ends jobs with SIGTERM: leave by the ordinary way, which removes partial files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.perf_counter()
    meta = encode_corpus(
        arguments.tokenizer,
        arguments.corpus,
        arguments.language,
        arguments.output,
        arguments.workers,
    )
    seconds = time.perf_counter() - begin
    print(
        f"{arguments.output}: {meta['documents']:,} documents, {meta['tokens']:,} tokens, "
        f"{meta['bytes']:,} bytes, {seconds:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    run(main)
