"""The RO-Crate of a study and the file that says how to cite it."""

import argparse
import json
import shutil
import subprocess
import zipfile

import pytest
from rocrate.rocrate import ROCrate

import card_example
import released_example
from jadapt.config import studies, yaml_files
from jadapt.core.files import sha256_file, write_json
from jadapt.release import crate

CITATION = yaml_files.read_yaml(studies.ROOT / "CITATION.cff")


@pytest.fixture
def archive(tmp_path):
    """The crate of a study of the shipped configuration with made-up files."""
    study = studies.load(
        argparse.Namespace(
            configfile=[studies.ROOT / "config/config.yaml"],
            results=tmp_path / "results",
            released=tmp_path / "released",
        )
    )
    released_example.write(study.results)
    for run, seed in study.runs:
        described = study.run_file(run, seed)
        files = (described, described.with_name("train.jsonl"), study.evaluation(run, seed))
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{run} {seed} {path.name}", encoding="utf-8")
    for name in ("figures/retention.svg", "figures/retention.pdf", "paper/paper.pdf"):
        path = study.results / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, encoding="utf-8")
    manifest = released_example.manifest(study.results, study.config, study.runs)
    write_json(study.results / "manifest.json", manifest)
    crate.build(study, manifest, CITATION, studies.ROOT).write_zip(tmp_path / "crate.zip")
    return study, tmp_path / "crate.zip"


def test_every_file_of_the_crate_is_described_and_what_is_described_is_there(archive):
    study, path = archive
    with zipfile.ZipFile(path) as crated:
        names = set(crated.namelist())
        graph = json.loads(crated.read("ro-crate-metadata.json"))["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    of_files = {e["@id"] for e in graph if "File" in e["@type"] and not e["@id"].startswith("http")}
    assert of_files == names - {"ro-crate-metadata.json"}
    root = by_id["./"]
    assert {part["@id"] for part in root["hasPart"]} == of_files
    assert root["mainEntity"]["@id"] == "results/paper.pdf"
    assert by_id["results/metrics.csv"]["sha256"] == sha256_file(study.table("metrics"))
    # From figure to table to evaluations to the runs that made them.
    figure = by_id["results/figures/retention.svg"]
    behind = {each["@id"] for each in figure["isBasedOn"]}
    assert behind == {"results/metrics.csv", "notebooks/retention.ipynb"}
    evaluations = {each["@id"] for each in by_id["results/metrics.csv"]["isBasedOn"]}
    assert len(evaluations) == len(study.runs)
    made = {r["@id"] for e in graph if e["@type"] == "CreateAction" for r in e["result"]}
    assert evaluations <= made
    # References lead somewhere, and text that others own is named and not passed on.
    for entity in graph:
        for value in entity.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and not item["@id"].startswith("http"):
                    assert item["@id"] in by_id, item
    assert by_id["#corpus-english"]["isBasedOn"]
    assert not [name for name in names if name.endswith((".safetensors", "corpus.jsonl"))]


def test_the_citation_is_complete():
    """Required keys and values of the Citation File Format 1.2.0."""
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "license"} <= set(CITATION)
    assert CITATION["type"] in ("software", "dataset")
    assert all(author.get("name") or author.get("family-names") for author in CITATION["authors"])
    licence = (studies.ROOT / "LICENSE").read_text(encoding="utf-8")
    assert CITATION["license"] == "Apache-2.0" and "Apache License" in licence


def test_what_was_measured_on_a_gpu_goes_along_where_it_is_released(tmp_path):
    assert crate._add_card(ROCrate(), tmp_path) == {}
    card_example.release(tmp_path / "paper/released/efficiency")
    made = ROCrate()
    record = crate._add_card(made, tmp_path)["card"]
    assert record.id == "paper/released/efficiency/SHA256SUMS"
    names = {path.name for path in (tmp_path / "paper/released/efficiency").iterdir()}
    assert {e.id.rpartition("/")[2] for e in made.get_by_type("File")} >= names


@pytest.fixture
def workflow(tmp_path):
    """A small repository, with what git lists, what it does not, and links."""
    root = tmp_path / "clone"
    names = ["Snakefile", "rules/a.smk", "config/日本語 {x}.yaml", "scripts/it's.py", "docs/x.md"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    (root / "config/out").symlink_to(tmp_path / "secret")
    (root / "config/within").symlink_to("../rules/a.smk")
    (root / "config/notes").symlink_to("my_notes.env")
    (root / "config/dead").symlink_to("nowhere")
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    (root / "config/my_notes.env").write_text("TOKEN=x")
    (root / "scripts/__pycache__").mkdir()
    (root / "scripts/__pycache__/x.pyc").touch()
    return root


WHOLE = {
    "Snakefile", "rules/a.smk", "config/日本語 {x}.yaml", "scripts/it's.py", "config/within",
}  # fmt: skip


def test_the_crate_holds_what_git_lists_and_links_only_within(workflow):
    assert set(crate.files_of(workflow)) == WHOLE
    (workflow / "rules/a.smk").unlink()
    assert set(crate.files_of(workflow)) == WHOLE - {"rules/a.smk", "config/within"}


def test_without_git_no_link_leads_out_and_no_memory_is_packed(workflow):
    shutil.rmtree(workflow / ".git")
    found = set(crate.files_of(workflow))
    assert found == WHOLE | {"config/my_notes.env", "config/notes"}
    # Nor is a repository around it this one's.
    subprocess.run(["git", "-C", workflow.parent, "init", "-q"], check=True)
    assert set(crate.files_of(workflow)) == found
