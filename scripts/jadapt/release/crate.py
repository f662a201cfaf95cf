"""A finished study as an RO-Crate 1.1: its files with checksums, and how they were derived.

RO-Crate: Soiland-Reyes et al. 2022, https://www.researchobject.org/ro-crate/1.1/.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path, PurePosixPath
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from jadapt.config.studies import Study
from jadapt.core import code_version, notebooks
from jadapt.core.files import sha256_file
from jadapt.core.released import CARD, CARD_RECORD, MANIFEST

WORKFLOW = ("Snakefile", "rules", "scripts", "notebooks", "config", "envs", "paper", "profiles")
# Also what a user keeps for their own machine.
IGNORED = {"__pycache__", "released", ".ipynb_checkpoints", "local.yaml"}


def build(study: Study, manifest: dict, citation: dict, root: Path) -> ROCrate:
    """Return the crate of a finished study.

    Args:
        study: the study; its results are on this machine.
        manifest: its manifest.
        citation: the content of ``CITATION.cff``.
        root: the repository: the workflow goes into the crate with the results.

    Returns:
        A crate with the workflow, tables, figures, printed tables, paper, descriptions and logs of
        all runs and evaluations. Models and corpora are named by checksum only: they are large, and
        corpora are under licences of their own.
    """
    crate = ROCrate()
    crate.name = f"{' '.join(citation['title'].split())} (study {study.name})"
    crate.description = " ".join(citation["abstract"].split())
    crate.license = f"https://spdx.org/licenses/{citation['license']}"
    crate.creator = [
        crate.add(ContextEntity(crate, f"#author-{place}", {
            "@type": "Organization", "name": author["name"],
        }))
        for place, author in enumerate(citation["authors"], 1)
    ]  # fmt: skip
    listed = set(files_of(root))
    workflow = _add_workflow(crate, root, listed)
    runs = _add_runs(crate, study, manifest, workflow)
    tables = {
        name: _add(crate, study.table(name), f"results/{name}.csv", {
            "name": f"table {name}", "isBasedOn": runs,
        })
        for name in manifest["tables"]
    }  # fmt: skip
    tables |= _add_card(crate, root)
    _add(crate, study.results / MANIFEST, f"results/{MANIFEST}", {"name": "manifest"})
    figures = _add_printed(crate, study, root, tables, listed)
    paper = study.results / "paper" / "paper.pdf"
    crate.mainEntity = _add(
        crate, paper, "results/paper.pdf", {"name": "paper", "isBasedOn": figures}
    )
    _add_texts(crate, manifest)
    return crate


def _add(crate: ROCrate, path: Path, name: str, properties: dict[str, Any]) -> Any:
    kind = mimetypes.guess_type(path.name)[0] or "text/plain"
    facts = {
        "contentSize": str(path.stat().st_size), "sha256": sha256_file(path),
        "encodingFormat": kind,
    }  # fmt: skip
    return crate.add_file(path, name, properties={**facts, **properties})


def files_of(root: Path) -> list[str]:
    """Return the files of the workflow: those that git lists, and no link that leads elsewhere.

    Where there is no git, all that lie in its folders but for what a user keeps there.
    """
    names = code_version.listed(root)
    if names is None:
        found = (path for name in WORKFLOW[1:] for path in sorted((root / name).rglob("*")))
        names = [WORKFLOW[0], *(path.relative_to(root).as_posix() for path in found)]
    whole = root.resolve()
    kept = []
    for name in names:
        parts = PurePosixPath(name).parts
        if parts[0] not in WORKFLOW or IGNORED & set(parts) or not (root / name).is_file():
            continue
        # What a link leads to is packed, so it has to be of the workflow as well.
        meant = (root / name).resolve()
        if meant.is_relative_to(whole) and meant.relative_to(whole).as_posix() in names:
            kept.append(name)
    return kept


def _add_workflow(crate: ROCrate, root: Path, listed: set[str]) -> Any:
    """Add the code; its Snakefile is the workflow."""
    main = crate.add_workflow(
        root / WORKFLOW[0], WORKFLOW[0], main=False, lang="snakemake",
        properties={"name": "workflow", "sha256": sha256_file(root / WORKFLOW[0])},
    )  # fmt: skip
    for name in sorted(listed - {WORKFLOW[0]}):
        _add(crate, root / name, name, {})
    return main


def _add_runs(crate: ROCrate, study: Study, manifest: dict, workflow: Any) -> list[Any]:
    """Add each run as an action of the workflow; return the evaluations that resulted."""
    evaluations = []
    for run in manifest["runs"]:
        name, seed = run["run"], run["seed"]
        place = f"results/runs/{name}/seed{seed}"
        described = study.run_file(name, seed)
        files = [
            _add(crate, described, f"{place}/run.json", {}),
            _add(crate, described.with_name("train.jsonl"), f"{place}/train.jsonl", {}),
            _add(crate, study.evaluation(name, seed), f"{place}/evaluation.csv", {}),
        ]
        evaluations.append(files[-1])
        crate.add(ContextEntity(crate, f"#run-{name}-{seed}", {
            "@type": "CreateAction",
            "name": f"run {name}, seed {seed}",
            "instrument": workflow,
            "result": files,
            "description": f"commit {run['commit']}, {run['device']}, {run['seconds']:.1f} s",
        }))  # fmt: skip
    return evaluations


def _add_card(crate: ROCrate, root: Path) -> dict[str, Any]:
    """Add the released benchmark of a GPU, if there is one; return its checksum file by name."""
    if not (root / CARD_RECORD).is_file():
        return {}
    added = {
        path.name: _add(crate, path, f"{CARD}/{path.name}", {"name": f"GPU {path.stem}"})
        for path in sorted((root / CARD).iterdir())
    }
    return {"card": added[Path(CARD_RECORD).name]}


def _add_printed(
    crate: ROCrate, study: Study, root: Path, tables: dict[str, Any], listed: set[str]
) -> list[Any]:
    """Add figures and printed tables, each based on its notebook and the tables it reads."""
    added = []
    for name, facts in notebooks.declared(root / "notebooks").items():
        if f"notebooks/{name}.ipynb" not in listed:
            continue
        folder = f"{facts['kind']}s"
        behind = [tables[name] for name in facts["tables"] if name in tables]
        behind.append(crate.dereference(f"notebooks/{name}.ipynb"))
        for path in sorted((study.results / folder).glob(f"{name}.*")):
            facts_of = {"name": f"{facts['kind']} {name}", "isBasedOn": behind}
            facts_of["description"] = facts["caption"]
            added.append(_add(crate, path, f"results/{folder}/{path.name}", facts_of))
    return added


def _add_texts(crate: ROCrate, manifest: dict) -> None:
    """Name corpora and their sources, which are not in the crate, with licence and checksum."""
    for domain, corpus in manifest["corpora"].items():
        parts = []
        for name, source in corpus["sources"].items():
            facts = {
                "@type": "Dataset", "name": name, "license": source["licence"],
                "creditText": source.get("attribution", ""), "url": source.get("homepage", ""),
                "version": source.get("version", ""),
                "identifier": [f["sha256"] for f in source.get("files", [])],
            }  # fmt: skip
            parts.append(crate.add(ContextEntity(crate, f"#source-{name}", facts)))
        crate.add(ContextEntity(crate, f"#corpus-{domain}", {
            "@type": "Dataset", "name": f"corpus {domain}", "inLanguage": corpus["language"],
            "isBasedOn": parts,
            "identifier": [f"{split}: {s}" for split, s in corpus["splits"].items()],
        }))  # fmt: skip
