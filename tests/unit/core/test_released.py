"""Released results: read only as they were released, and published whole or not at all."""

import copy
import json

import pytest

import released_example as example
from jadapt.config import studies, yaml_files
from jadapt.core import released
from jadapt.core.errors import UserError
from jadapt.core.files import write_json
from jadapt.release import manifest as manifests
from jadapt.release import publish

CONFIG = studies.ROOT / "config/config.yaml"


def test_a_release_is_read_as_it_was_written(tmp_path):
    written = example.write(tmp_path / "example")
    assert released.read(tmp_path / "example") == written


def test_a_table_edited_by_hand_is_named(tmp_path):
    folder = tmp_path / "example"
    example.write(folder)
    with open(folder / "efficiency.csv", "a", encoding="utf-8") as stream:
        stream.write("\n")
    with pytest.raises(UserError, match=r"efficiency\.csv: the released table 'efficiency' was ch"):
        released.read(folder)
    (folder / "efficiency.csv").unlink()
    with pytest.raises(UserError, match="the released table 'efficiency' is missing"):
        released.read(folder)


def test_a_study_that_is_not_released_names_those_that_are(tmp_path):
    with pytest.raises(UserError, match=r"'other' \(no study is released\)"):
        released.read(tmp_path / "other")
    example.write(tmp_path / "example")
    with pytest.raises(UserError, match=r"'other' \(released: example\); use results: recompute"):
        released.read(tmp_path / "other")


def test_another_format_is_refused(tmp_path):
    write_json(tmp_path / "manifest.json", {**example.write(tmp_path), "format_version": 99})
    with pytest.raises(UserError, match="format_version 99, expected 1"):
        released.read(tmp_path)


def test_differences_of_configurations_are_named_and_places_do_not_count():
    old = {"seeds": [1], "methods": {"lora": {"rank": 8}}, "results": "recompute", "mirror": "a"}
    assert released.difference_in_words({**old, "results": "released", "mirror": None}, old) == ""
    new = copy.deepcopy(old)
    new["methods"]["lora"] |= {"rank": 16, "alpha": 32}
    assert released.differences(new, old) == [
        ("methods.lora.rank", 16, 8),
        ("methods.lora.alpha", 32, None),
    ]
    assert released.difference_in_words(new, old) == (
        "methods.lora.rank is 16, released with 8 and 1 other keys"
    )


@pytest.fixture
def finished(tmp_path):
    """A finished study of the shipped configuration, as `release` looks at one."""
    study = studies.load(
        studies.argparse.Namespace(
            configfile=[CONFIG], results=tmp_path / "results", released=tmp_path / "released/mini"
        )
    )
    example.example.write(tmp_path_with(study.results))
    settings = {**study.config, "model": {"name": study.config["model"]}}
    for run, seed in study.runs:
        for path in (study.run_file(run, seed), study.evaluation(run, seed)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    made = example.manifest(study.results, settings, study.runs)
    write_json(study.results / "manifest.json", made)
    return study


def tmp_path_with(folder):
    folder.mkdir(parents=True)
    return folder


def run(manifest, name):
    return next(run for run in manifest["runs"] if run["run"] == name)


def change_manifest(study, change):
    path = study.results / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    write_json(path, content)


def test_a_complete_study_is_published_and_read_again(finished):
    assert publish.faults(finished) == []
    for _ in range(2):
        publish.publish(finished.results, finished.manifest(), finished.released)
        assert released.read(finished.released) == finished.manifest()
        assert [path.name for path in finished.released.parent.iterdir()] == ["mini"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda m: run(m, "sft").update(commit="e" * 40),
            "different commits: sft, seed 1",
        ),
        (lambda m: run(m, "base").update(lock="e" * 64), "different lock files: base, seed 1"),
        (lambda m: m["versions"].append({"torch": "0"}), "different versions of packages"),
        (lambda m: [r.update(commit=None) for r in m["runs"]], "no commit is known"),
        (
            lambda m: [r.update(commit=r["commit"] + "+changes") for r in m["runs"]],
            "trained with changes that were not committed",
        ),
        (lambda m: m["settings"]["training"].update(steps=7), "training.steps is"),
        (lambda m: m["tables"]["grid"].update(sha256="0" * 64), "grid.csv is not the table"),
    ],
)
def test_a_study_of_several_pieces_is_refused(finished, change, fault):
    change_manifest(finished, change)
    found = publish.faults(finished)
    assert any(fault in line for line in found), found
    with pytest.raises(UserError, match="not released: "):
        publish.refuse(finished, found)


def test_a_study_that_was_trained_without_the_lock_file_can_be_released(finished):
    change_manifest(finished, lambda m: [r.update(lock=None) for r in m["runs"]])
    assert publish.faults(finished) == []


def test_runs_that_are_missing_are_named_even_before_there_is_a_manifest(finished):
    finished.run_file("lora", 2).unlink()
    finished.evaluation("ewc", 3).unlink()
    (finished.results / "manifest.json").unlink()
    found = publish.faults(finished)
    assert found[0].startswith("lora, seed 2: not trained")
    assert found[1].startswith("ewc, seed 3: not evaluated")
    assert "manifest.json is missing" in found[2]


def test_a_release_that_fails_leaves_the_earlier_one(finished, monkeypatch):
    publish.publish(finished.results, finished.manifest(), finished.released)
    before = {path.name: path.read_bytes() for path in finished.released.iterdir()}
    other = finished.manifest()
    other["tables"]["metrics"]["sha256"] = "0" * 64
    with pytest.raises(UserError, match=r"metrics\.csv: changed while it was copied"):
        publish.publish(finished.results, other, finished.released)
    assert {path.name: path.read_bytes() for path in finished.released.iterdir()} == before
    assert [path.name for path in finished.released.parent.iterdir()] == ["mini"]


def test_compute_counts_accelerators_of_training_only(tmp_path):
    config = yaml_files.read_yaml(CONFIG)
    config["training"] |= {"accelerator": "gpu", "devices": 2}
    for name in ("adapt/lora/seeds", "search/sft", "evaluate/lora/seeds", "pretrain", "figures/a"):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("s\tcpu_time\tmax_rss\n1800.0\t-\tNA\n", encoding="utf-8")
    found = manifests.compute(tmp_path, config)
    assert found["gpu_hours"] == 3
    assert found["seconds"] == 4 * 1800
    assert found["stages"]["evaluate"]["gpu_hours"] == 0
    assert "figures" not in found["stages"]


def test_configuration_files_are_merged_as_snakemake_merges_them():
    old = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert studies.merged(old, {"a": {"c": [3]}, "e": 2}) == {
        "a": {"b": 1, "c": [3]}, "d": 1, "e": 2,
    }  # fmt: skip
    assert old["a"]["c"] == [1, 2]


def _without(key):
    def cut(manifest):
        del manifest[key]
        return manifest

    return cut


DAMAGES = {
    "without tables": _without("tables"),
    "without settings": _without("settings"),
    "tables that are a list": lambda manifest: {**manifest, "tables": []},
    "a table without checksum": lambda manifest: {**manifest, "tables": {"metrics": {}}},
    "a table that is a word": lambda manifest: {**manifest, "tables": {"metrics": "x"}},
    "a list": lambda manifest: [],
    "null": lambda manifest: None,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_manifest_that_is_not_as_it_was_released_is_gits(tmp_path, damage):
    path = tmp_path / "manifest.json"
    write_json(path, damage(example.write(tmp_path)))
    with pytest.raises(UserError, match=rf"manifest\.json: .*; git checkout -- {path}"):
        released.read(tmp_path)


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_manifest_that_was_cut_is_gits(tmp_path, share):
    example.write(tmp_path)
    path = tmp_path / "manifest.json"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"not valid JSON .*; git checkout -- "):
        released.read(tmp_path)
    path.write_bytes(b"\xff\xfe" + content)
    with pytest.raises(UserError, match=r"not valid JSON .*; git checkout -- "):
        released.read(tmp_path)
