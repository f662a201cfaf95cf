"""Fetch one source of text and check it against its pinned checksum."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings
from jadapt.corpora.fetching import fetch


def main() -> int:
    """Fetch the source and print one line on what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the source")
    parser.add_argument("--settings", required=True, help="its entry in 'sources': JSON or a file")
    parser.add_argument(
        "--mirror",
        default=os.environ.get("JADAPT_MIRROR"),
        help="directory looked through before the network (default: $JADAPT_MIRROR)",
    )
    parser.add_argument(
        "--optional", action="store_true", help="an unreachable source is recorded, not an error"
    )
    parser.add_argument(
        "--output", required=True, type=Path, help="fetched.json; its files go beside"
    )
    arguments = parser.parse_args()
    mirror = Path(arguments.mirror) if arguments.mirror else None
    settings = load_settings(arguments.settings)
    record = fetch(arguments.name, settings, arguments.output, mirror, arguments.optional)
    if record["available"]:
        size = sum(file["bytes"] for file in record["files"])
        origins = ", ".join(sorted({file["from"] for file in record["files"]}))
        files = f"{len(record['files'])} file{'s' * (len(record['files']) > 1)}"
        print(f"source {arguments.name}: {files}, {size:,} bytes ({origins})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run(main)
