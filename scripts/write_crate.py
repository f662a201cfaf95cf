"""Write the RO-Crate of a finished study: results/{study}/crate.zip."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from jadapt.config import studies, yaml_files
from jadapt.core.errors import UserError, run
from jadapt.release import crate, publish


def main() -> None:
    """Check that the study is finished, gather its files, write the archive whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    parser.add_argument("--output", type=Path, help="default: crate.zip among the results")
    arguments = parser.parse_args()
    study = studies.load(arguments)
    if missing := publish.missing_runs(study):
        raise UserError(f"{study.results}: not finished: {publish.few(missing)}")
    manifest = study.manifest()
    if not (study.results / "paper" / "paper.pdf").is_file():
        raise UserError(f"{study.results}/paper/paper.pdf: missing; build it first (make paper)")
    citation = yaml_files.read_yaml(studies.ROOT / "CITATION.cff")
    made = crate.build(study, manifest, citation, studies.ROOT)
    output = arguments.output or study.results / "crate.zip"
    # The library appends `.zip` itself, so a temporary file of its choosing cannot be used.
    with tempfile.TemporaryDirectory(prefix=".crate.", dir=output.parent) as folder:
        made.write_zip(Path(folder) / "crate.zip")
        os.replace(Path(folder) / "crate.zip", output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
