"""Write docs/methods.md, what methods and strategies declare of themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis.method_docs import page
from jadapt.core.errors import UserError, run
from jadapt.core.files import write_text


def main() -> int:
    """Write the file, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default=Path("docs/methods.md"), type=Path, help="the page")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    arguments = parser.parse_args()
    text = page()
    if arguments.check:
        current = arguments.output.read_text("utf-8") if arguments.output.is_file() else None
        if current != text:
            raise UserError(f"{arguments.output}: out of date; run make method-docs")
        return 0
    write_text(arguments.output, text)
    return 0


if __name__ == "__main__":
    run(main)
