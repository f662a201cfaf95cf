"""Write config/schemas/ from the models of the configuration, or tell which is out of date."""

from __future__ import annotations

import argparse

from jadapt.config import schemas
from jadapt.core.errors import UserError, run
from jadapt.core.files import write_text


def main() -> None:
    """Parse the command line; write, or only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one differs")
    check = parser.parse_args().check
    for name, text in schemas.texts().items():
        path = schemas.FOLDER / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            raise UserError(f"config/schemas/{name}: not what the models say; run make schemas")
        write_text(path, text)


if __name__ == "__main__":
    run(main)
