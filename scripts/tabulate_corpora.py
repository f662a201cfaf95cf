"""Gather the manifests of the corpora into one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import read_json
from jadapt.core.tables import CORPORA
from jadapt.corpora.tables import corpora_rows


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study, the first column")
    parser.add_argument("--output", required=True, type=Path, help="corpora.csv")
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST")
    arguments = parser.parse_args()
    rows = corpora_rows(arguments.study, map(read_json, arguments.manifests))
    CORPORA.write(arguments.output, rows)
    return 0


if __name__ == "__main__":
    run(main)
