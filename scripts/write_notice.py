"""Write NOTICE, the licences and attributions of the text, from config/corpora.yaml."""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.core.errors import UserError, run
from jadapt.core.files import load_settings, write_text
from jadapt.corpora.notice import notice


def main() -> int:
    """Write the file, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", default="config/corpora.yaml", help="sources and domains")
    parser.add_argument("--output", default=Path("NOTICE"), type=Path, help="file to write")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    arguments = parser.parse_args()
    text = notice(load_settings(arguments.corpora))
    if arguments.check:
        current = arguments.output.read_text("utf-8") if arguments.output.is_file() else None
        if current != text:
            raise UserError(f"{arguments.output}: out of date; run scripts/write_notice.py")
        return 0
    write_text(arguments.output, text)
    return 0


if __name__ == "__main__":
    run(main)
