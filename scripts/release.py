"""Publish a finished study, or its fronts so far: its tables go to paper/released/{study}/."""

from __future__ import annotations

import argparse
import re
import subprocess

from jadapt.config import studies
from jadapt.core.errors import UserError, run
from jadapt.core.released import MANIFEST
from jadapt.release import fronts, publish


def main() -> None:
    """Check that the study is complete and of one piece; only then write anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    parser.add_argument(
        "--fronts", action="store_true",
        help="release the fronts that were made so far, beside those released before",
    )  # fmt: skip
    arguments = parser.parse_args()
    study = studies.load(arguments)
    if arguments.fronts:
        release_fronts(study)
        return
    publish.refuse(study, publish.faults(study))
    publish.refuse(study, outdated(study))
    manifest = study.manifest()
    written = publish.publish(study.results, manifest, study.released)
    diverged = [r for r in manifest["runs"] if r["diverged"]]
    for r in diverged:
        print(f"note: {r['run']}, seed {r['seed']} diverged; its rows are released as they are")
    if None in manifest["locks"]:
        versions = ", ".join(map(" ".join, manifest["versions"][0].items()))
        print(f"note: not trained with the packages of the lock file, but with {versions}")
    print(f"released {len(manifest['runs'])} runs of commit {manifest['commits'][0]}:")
    for path in written:
        print(f"  {path}")


def release_fronts(study: studies.Study) -> None:
    """Add the fronts of this machine to the release of a study whose final runs are to come."""
    parts = fronts.gather(study)
    settings = studies.recorded(study.config, studies.read_models())
    found = fronts.publish(study, parts, settings)
    print(*fronts.said(parts, found), sep="\n")
    for path in sorted(study.released.rglob("*.*")):
        print(f"  {path}")


def outdated(study: studies.Study) -> list[str]:
    """Return what Snakemake would run again: runs of older code, configuration or data."""
    target = str(study.results / MANIFEST)
    command = [
        "snakemake", "--dry-run", "--nolock", "--configfile", *map(str, study.files),
        "--config", "results=recompute", "--", target,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if done.returncode:
        raise UserError(f"snakemake --dry-run {target} fails: {output.strip().splitlines()[-1]}")
    if "Nothing to be done" in output:
        return []
    stats = output.rpartition("Job stats:")[2]
    jobs = [
        f"{name} ({count})"
        for name, count in re.findall(r"(?m)^(\w+) +(\d+)$", stats)
        if name != "total"
    ]
    return [f"out of date: {', '.join(jobs)}; build the study again (make paper)"]


if __name__ == "__main__":
    run(main)
