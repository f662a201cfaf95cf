"""Build the corpus of one domain: extract, clean, divide, and describe in a manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings, named_path
from jadapt.corpora.building import build


def main() -> int:
    """Build the corpus and print one line on what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domain", required=True, help="name of the domain")
    parser.add_argument(
        "--settings",
        required=True,
        help="JSON or a file: domain, sources, cleaning, splits and, if wanted, seed",
    )
    parser.add_argument(
        "--fetched",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=PATH",
        help="fetched.json of each source",
    )
    parser.add_argument("--output", required=True, type=Path, help="directory of the corpus")
    arguments = parser.parse_args()
    paths = dict(map(named_path, arguments.fetched))
    settings = load_settings(arguments.settings)
    manifest = build(arguments.domain, settings, paths, arguments.output)
    counts = ", ".join(
        f"{split} {size['documents']:,}" for split, size in manifest["splits"].items()
    )
    print(f"domain {arguments.domain}: documents: {counts}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run(main)
