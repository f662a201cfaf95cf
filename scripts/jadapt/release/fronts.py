"""The fronts of a study in its release: records of what made them, and a release that grows.

Fronts are made run by run, on machines that are lent for a while, and released as they come: what
is at hand is added to what was released before. The manifest says of each front by which commit, on
which device and in how many seconds it was made, which of its points are missing, and which runs of
the configuration have no front yet.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jadapt.config.studies import Study
from jadapt.core.code_version import CHANGED
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, replaced_folder, sha256_file, write_json
from jadapt.core.released import FORMAT_VERSION, FRONTS_FOLDER, MANIFEST
from jadapt.core.released import read as read_release
from jadapt.core.tables import FRONTS
from jadapt.evaluation.collection import fronts_table
from jadapt.release import manifest as study_manifest
from jadapt.release.front_records import choice_of, compact, record, settings_digest
from jadapt.release.publish import few

# Tables that say what the fronts were made from and what they stand beside, where they are at hand.
BESIDE = ("baselines", "corpora")


@dataclass
class Parts:
    """What a release of fronts is put together from.

    Attributes:
        here: records of the fronts of this machine, by run.
        kept: those of the earlier release that are not made anew.
        notes: what is left out, and what a reader should know, in words.
    """

    here: dict[str, dict[str, Any]]
    kept: dict[str, dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def fronts(self) -> dict[str, dict[str, Any]]:
        """All of them."""
        return {**self.kept, **self.here}


def made(study: Study) -> list[str]:
    """Return the runs whose fronts are on this machine."""
    return [run for run in study.fronts if study.front(run, "csv").is_file()]


def faults(study: Study, names: Iterable[str]) -> list[str]:
    """Return the reasons why fronts of this machine cannot be released."""
    found = []
    for run in names:
        if not (losses := study.front(run, "parquet")).is_file():
            found.append(f"{run}: {losses} is missing; make the front again")
            continue
        commit = choice_of(study, run)["record"].get("commit")
        if commit and commit.endswith(CHANGED):
            found.append(f"{run}: trained with changes that were not committed")
    return found


def gather(study: Study) -> Parts:
    """Find what is at hand and what was released before.

    Raises:
        UserError: the study has no fronts, none was made, or one cannot be released.
    """
    if not study.fronts:
        raise UserError(
            f"{study.files[0] if study.files else study.name}: no 'fronts', or no run with several "
            "learning rates; there is nothing to release"
        )
    here = made(study)
    if found := faults(study, here):
        raise UserError(f"{study.results}: not released: {few(found)}")
    parts = Parts({run: record(study, run) for run in here}, {})
    earlier = read_release(study.released) if (study.released / MANIFEST).is_file() else None
    if earlier and "metrics" in earlier["tables"]:
        raise UserError(f"{study.released}: released in full; make release, with all fronts")
    for run, known in (earlier or {}).get("fronts", {}).items():
        if run in parts.here:
            continue
        if run not in study.fronts:
            parts.notes.append(f"{run}: no run of the configuration any more, left out")
        elif known["settings_sha256"] != settings_digest(study, run):
            parts.notes.append(f"{run}: released with other settings, left out; make it again")
        else:
            parts.kept[run] = known
    if not parts.fronts:
        raise UserError(f"{study.results}/{FRONTS_FOLDER}: no front yet (snakemake fronts)")
    for run, own in parts.here.items():
        if own["commit"] is None:
            parts.notes.append(f"{run}: made by an unknown commit")
        if own["missing"]:
            parts.notes.append(f"{run}: {len(own['missing'])} points of the configuration missing")
    return parts


def publish(study: Study, parts: Parts, settings: dict) -> dict[str, Any]:
    """Write ``paper/released/{study}/`` anew: tables, losses by document, manifest.

    Args:
        study: whose fronts they are.
        parts: of `gather`.
        settings: the configuration, with the model's entry in full.

    Returns:
        The manifest.
    """
    old = study.released
    earlier = read_json(old / MANIFEST) if parts.kept or (old / MANIFEST).is_file() else {}
    with replaced_folder(old) as new:
        (new / FRONTS_FOLDER).mkdir()
        tables = [study.front(run, "csv") for run in parts.here]
        if parts.kept:
            tables.insert(0, new / "kept.csv")
            text = FRONTS.read_text(old / f"{FRONTS.name}.csv")
            kept = text[text["method"].isin(["base", *parts.kept])]
            FRONTS.write_frame(tables[0], kept)
        FRONTS.write_frame(new / f"{FRONTS.name}.csv", fronts_table(tables))
        (new / "kept.csv").unlink(missing_ok=True)
        for run, own in parts.fronts.items():
            target = new / FRONTS_FOLDER / f"{run}.parquet"
            if run in parts.here:
                compact(study.front(run, "parquet"), target, settings)
            else:
                shutil.copyfile(old / FRONTS_FOLDER / target.name, target)
            own["documents_sha256"] = sha256_file(target)
        for name in BESIDE:
            for path in (study.table(name), old / f"{name}.csv"):
                if path.is_file():
                    shutil.copyfile(path, new / path.name)
                    break
        found = manifest(study, parts, settings, new, earlier)
        write_json(new / MANIFEST, found)
    return found


def manifest(
    study: Study, parts: Parts, settings: dict, folder: Path, earlier: dict
) -> dict[str, Any]:
    """Return the manifest of a release of fronts; its keys are those of a whole study's."""
    ordered = {run: parts.fronts[run] for run in study.fronts if run in parts.fronts}
    recorded = list(ordered.values())
    return {
        "format_version": FORMAT_VERSION,
        "study": study.name,
        **{
            f"{key}s": study_manifest.distinct(own[key] for own in recorded)
            for key in ("commit", "lock", "device")
        },
        "versions": study_manifest.distinct(own["versions"] for own in recorded),
        "tables": {
            path.stem: study_manifest.described(path) for path in sorted(folder.glob("*.csv"))
        },
        "fronts": ordered,
        "not_run": [run for run in study.fronts if run not in ordered],
        **_inputs(study, earlier),
        "runs": [],
        "searches": {},
        "settings": settings,
    }


def _inputs(study: Study, earlier: dict) -> dict[str, Any]:
    """Describe tokenizer, token files and corpora, those of the earlier release where they are not
    on this machine."""
    tokens = [study.tokens(name) for name in study.token_files]
    corpora = [study.corpus(name) for name in study.config["corpora"]["domains"]]
    if all(path.is_file() for path in (study.tokenizer, *tokens, *corpora)):
        return {
            "tokenizer": sha256_file(study.tokenizer),
            "tokens": study_manifest.tokens(study),
            "corpora": study_manifest.corpora(study),
        }
    return {
        "tokenizer": earlier.get("tokenizer"),
        "tokens": earlier.get("tokens", {}),
        "corpora": earlier.get("corpora", {}),
    }


def said(parts: Parts, found: dict[str, Any]) -> list[str]:
    """Return the lines that tell what was released."""
    lines = [f"note: {note}" for note in parts.notes]
    hours = math.fsum(own["seconds"] for own in found["fronts"].values()) / study_manifest.HOUR
    lines.append(
        f"released {len(found['fronts'])} fronts ({len(parts.here)} of this machine, "
        f"{len(parts.kept)} from before), {hours:.1f} hours of training"
    )
    if found["not_run"]:
        lines.append(f"not run yet: {', '.join(found['not_run'])}")
    return lines
