"""The paper of a released study, kept where readers of the repository look."""

from __future__ import annotations

import shutil
from pathlib import Path

from jadapt.config.studies import Study
from jadapt.core.errors import UserError
from jadapt.core.files import atomic, sha256_file, write_json

RECORD = "paper.json"
FIGURE = "fronts"


def keep(study: Study, folder: Path) -> None:
    """Copy the PDF and the figure of the fronts, and record what they were made from.

    Raises:
        UserError: the paper was not made, or was not made from released tables.
    """
    files = {
        "paper.pdf": study.results / "paper" / "paper.pdf",
        "paper.png": study.results / "figures" / f"{FIGURE}.png",
    }
    remedy = f"make paper CONFIG={study.files[0]} RESULTS=released"
    for path in files.values():
        if not path.is_file():
            raise UserError(f"{path}: no such file; {remedy}")
    tables = sorted(study.released.glob("*.csv"))
    if not tables:
        raise UserError(f"{study.released}: no released tables; make release first")
    for name, path in files.items():
        with atomic(folder / name) as temporary:
            shutil.copyfile(path, temporary)
    write_json(folder / RECORD, {
        "study": study.name,
        "files": {name: sha256_file(folder / name) for name in files},
        "tables": {path.name: sha256_file(path) for path in tables},
    })  # fmt: skip
