"""Prepare a downstream task: its items, the examples of its prompts, and what was taken out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jadapt.core.errors import run
from jadapt.core.files import load_settings
from jadapt.evaluation.tasks.folders import write


def main() -> None:
    """Prepare the task and print one line on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the file of config/tasks/, without its end")
    parser.add_argument("--settings", required=True, help="JSON: definition, seed, limit")
    parser.add_argument("--fetched", type=Path, required=True, help="fetched.json of its source")
    parser.add_argument("--output", type=Path, required=True, help="folder of the task")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    record = write(arguments.name, settings, arguments.fetched, arguments.output)
    counts = ", ".join(f"{key} {count:,}" for key, count in record["counts"].items() if count)
    print(f"task {arguments.name}: {counts or record['reason']}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
