"""Publish a finished study: copy its tables and its manifest to paper/released/{study}/."""

from __future__ import annotations

import argparse
import re
import subprocess

from jadapt.config import studies
from jadapt.core.errors import UserError, run
from jadapt.core.released import MANIFEST
from jadapt.release import publish


def main() -> None:
    """Check that the study is complete and of one piece; only then write anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    studies.add_arguments(parser)
    study = studies.load(parser.parse_args())
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
