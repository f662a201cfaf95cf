"""Prepare the words that segmenters learn from and are measured against."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings, named_path
from jadapt.segmentation.reference import prepare


def main() -> int:
    """Prepare the splits and print one line on each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON or a file: gold and fallback")
    parser.add_argument(
        "--fetched", nargs="*", default=[], metavar="NAME=PATH", help="fetched.json of each source"
    )
    parser.add_argument(
        "--corpora", nargs="+", required=True, type=Path, help="folders of the study's domains"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder of the splits")
    arguments = parser.parse_args()
    fetched = dict(map(named_path, arguments.fetched))
    settings = load_settings(arguments.settings)
    meta = prepare(settings, fetched, arguments.corpora, arguments.output)
    for split, size in meta["splits"].items():
        print(
            f"{meta['name']}, {split}: {size['texts']:,} texts, {size['words']:,} words, "
            f"{size['characters']:,} characters",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    run(main)
