"""Check a study before Snakemake reads it: its files, what it names, the claims and the cluster.

Snakemake passes configuration files through a template engine that runs Python, and answers faults
of YAML with a traceback; so this comes first. Nothing is written and nothing is run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jadapt.analysis import claims
from jadapt.config import studies
from jadapt.core.errors import run
from jadapt.core.paths import ROOT
from jadapt.workflow import slurm


def main() -> None:
    """Parse the command line and check; print the study's name if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[studies.CONFIG], metavar="YAML",
        help="the study; a later file overrides an earlier one, as for snakemake",
    )  # fmt: skip
    parser.add_argument(
        "--config", nargs="*", default=[], metavar="KEY=VALUE", help="values over all files"
    )
    parser.add_argument("--name", action="store_true", help="print the name of the study")
    given = parser.parse_args()
    config = studies.settings(given.configfile, given.config)
    claims.read(claims.FILE, studies.read_catalogue()["domains"])
    slurm.read_site(ROOT / slurm.SITE_FILE)
    if given.name:
        print(config["study"])


if __name__ == "__main__":
    run(main)
