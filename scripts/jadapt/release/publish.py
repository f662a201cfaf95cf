"""Release a study: check that it is complete and consistent, and copy its tables."""

from __future__ import annotations

import shutil
from pathlib import Path

from jadapt.config.studies import Study
from jadapt.core.code_version import CHANGED
from jadapt.core.errors import UserError
from jadapt.core.files import replaced_folder, sha256_file, write_json
from jadapt.core.released import CARD, FRONTS_FOLDER, MANIFEST, difference_in_words
from jadapt.release.front_records import compact

SHOWN = 5


def faults(study: Study) -> list[str]:
    """Return the reasons why a study cannot be released; an empty list if it can."""
    found = missing_runs(study)
    if study.name == Path(CARD).name:
        found.append(f"{CARD} is for what was measured on a GPU by itself; rename the study")
    path = study.results / MANIFEST
    if not path.is_file():
        return [*found, f"{path} is missing; build the study first (make paper)"]
    manifest = study.manifest()
    found += _changed_tables(study, manifest)
    if different := difference_in_words(study.config, _comparable(manifest["settings"])):
        # The message calls the other side "released"; here it is the finished study.
        found.append(f"{path} is of another configuration: {different}")
    found += _pieces(manifest["runs"], "commit", "commits")
    found += _pieces(manifest["runs"], "lock", "lock files")
    for run in manifest["runs"]:
        name = f"{run['run']}, seed {run['seed']}"
        if run["commit"] is None:
            found.append(f"{name}: no commit is known; train it in a git working copy")
        elif run["commit"].endswith(CHANGED):
            found.append(f"{name}: trained with changes that were not committed")
    if len(manifest["versions"]) > 1:
        found.append(
            "runs with different versions of packages (versions in run.json); train them in one "
            "environment"
        )
    return found


def _comparable(settings: dict) -> dict:
    return {**settings, "model": settings["model"]["name"]}


def missing_runs(study: Study) -> list[str]:
    """Return the runs of the configuration that were not trained, or not evaluated."""
    found = []
    for run, seed in study.runs:
        if not study.run_file(run, seed).is_file():
            found.append(f"{run}, seed {seed}: not trained ({study.run_file(run, seed)})")
        elif not study.evaluation(run, seed).is_file():
            found.append(f"{run}, seed {seed}: not evaluated ({study.evaluation(run, seed)})")
    return found


def _changed_tables(study: Study, manifest: dict) -> list[str]:
    found = []
    for name, table in manifest["tables"].items():
        path = study.results / f"{name}.csv"
        if not path.is_file():
            found.append(f"{path} is missing")
        elif sha256_file(path) != table["sha256"]:
            found.append(f"{path} is not the table that the workflow made")
    return found


def _pieces(runs: list[dict], key: str, words: str) -> list[str]:
    """Return a reason if runs differ in ``key``; it names the runs of the rarer values."""
    of: dict[str | None, list[str]] = {}
    for run in runs:
        of.setdefault(run[key], []).append(f"{run['run']}, seed {run['seed']}")
    if len(of) == 1:
        return []
    most = max(of, key=lambda value: len(of[value]))
    others = [name for value, names in of.items() if value != most for name in names]
    return [
        f"runs of different {words}: {few(others)} not of {str(most)[:12]} as the other runs; "
        "train them again"
    ]


def few(names: list[str]) -> str:
    """Join the first few names, and add how many more there are."""
    return "; ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" * (len(names) > SHOWN))


def refuse(study: Study, found: list[str]) -> None:
    """Raise a `UserError` that names the faults, in one line, if there are any."""
    if found:
        raise UserError(f"{study.results}: not released: {few(found)}")


def publish(results: Path, manifest: dict, target: Path) -> list[Path]:
    """Write tables and manifest to ``target``, replacing an earlier release as a whole.

    Args:
        results: the folder with the tables that ``manifest`` lists.
        manifest: the manifest of the study.
        target: ``paper/released/{study}``.
    """
    with replaced_folder(target) as new:
        for table, facts in manifest["tables"].items():
            shutil.copyfile(results / f"{table}.csv", new / f"{table}.csv")
            # Checked after copying, in case the table has changed meanwhile or the disk is full.
            if sha256_file(new / f"{table}.csv") != facts["sha256"]:
                raise UserError(f"{results / table}.csv: changed while it was copied; try again")
        for run, front in manifest.get("fronts", {}).items():
            losses = new / FRONTS_FOLDER / f"{run}.parquet"
            losses.parent.mkdir(exist_ok=True)
            compact(results / FRONTS_FOLDER / losses.name, losses, manifest["settings"])
            front["documents_sha256"] = sha256_file(losses)
        write_json(new / MANIFEST, manifest)
    return sorted(target.iterdir())
