"""Take outputs and execution counts out of notebooks; what is executed lies under results/."""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat

from jadapt.core.errors import UserError, run
from jadapt.core.files import write_text


def main() -> int:
    """Strip the notebooks that the command line names; 1 if one had something to take out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", type=Path, nargs="+")
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    stale = [path for path in arguments.notebooks if strip(path, write=not arguments.check)]
    for path in stale:
        print(f"{path}: has outputs" if arguments.check else f"{path}: outputs taken out")
    return 1 if stale else 0


def strip(path: Path, write: bool = True) -> bool:
    """Take the outputs out of a notebook; return whether it had any.

    Raises:
        UserError: the file is not a notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a notebook ({reason}); restore it") from error
    found = False
    for cell in notebook.cells:
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            cell.outputs, cell.execution_count, found = [], None, True
    if found and write:
        write_text(path, nbformat.writes(notebook) + "\n")
    return found


if __name__ == "__main__":
    run(main)
