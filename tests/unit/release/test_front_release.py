"""A release of fronts that grows run by run."""

import json
from pathlib import Path

import pandas as pd
import pytest

import fronts_example as example
from jadapt.config.studies import Study
from jadapt.core import released
from jadapt.core.errors import UserError
from jadapt.core.tables import FRONTS
from jadapt.release import fronts, trace
from jadapt.release.front_records import compact


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """What a front is told, of which the example's configuration has only the front's part."""

    def front_settings(config, run):
        return {
            "run": run, "rates": config["methods"][run]["learning_rate"],
            "seeds": config["fronts"]["seeds"], "variants": [{"strength": ""}],
        }  # fmt: skip

    monkeypatch.setattr("jadapt.config.runs.front_settings", front_settings)


def study_of(folder: Path, methods=tuple(example.METHODS), **given) -> Study:
    config = example.settings(methods)
    config |= {"corpora": {"domains": []}, "tokenizer": {"kind": "pretrained", "model": "small"}}
    config |= given
    return Study(config, (), folder / "results", folder / "released")


def release(study):
    parts = fronts.gather(study)
    return parts, fronts.publish(study, parts, study.config)


def test_what_is_made_is_released_and_the_rest_is_named(tmp_path):
    study = study_of(tmp_path)
    example.write(study.results, ("sft", "lora"), diverged=[("lora", 4, 2)])
    parts, manifest = release(study)
    assert list(manifest["fronts"]) == ["sft", "lora"]
    assert manifest["not_run"] == ["prefix", "replay", "ewc", "joint"]
    lora = manifest["fronts"]["lora"]
    assert (lora["points"], lora["diverged"], lora["missing"]) == (15, 1, [])
    assert lora["commit"] == "c" * 40 and lora["device"] == "NVIDIA H200"
    assert manifest["commits"] == ["c" * 40] and manifest["devices"] == ["NVIDIA H200"]
    assert released.read(study.released) == json.loads(json.dumps(manifest))
    table = FRONTS.read(study.released / "fronts.csv")
    assert set(table["method"]) == {"base", "sft", "lora"}
    assert "not run yet: prefix" in fronts.said(parts, manifest)[-1]
    assert (study.released / "baselines.csv").is_file()
    assert any("lora: 15 points" in line for line in trace.of_fronts(manifest))


def test_a_later_run_is_added_without_the_files_of_the_earlier_ones(tmp_path):
    study = study_of(tmp_path)
    example.write(study.results, ("sft",))
    _, first = release(study)
    for path in (study.results / "fronts").iterdir():
        path.unlink()
    example.write(study.results, ("replay",))
    parts, manifest = release(study)
    assert list(parts.kept) == ["sft"] and list(parts.here) == ["replay"]
    assert manifest["fronts"]["sft"] == first["fronts"]["sft"]
    table = FRONTS.read(study.released / "fronts.csv")
    assert set(table["method"]) == {"base", "sft", "replay"}
    assert not table.duplicated(list(FRONTS.key)).any()
    released.read(study.released)


def test_a_front_of_other_settings_is_left_out_and_said(tmp_path):
    study = study_of(tmp_path)
    example.write(study.results, ("sft", "lora"))
    release(study)
    (study.results / "fronts/sft.csv").unlink()
    other = study_of(tmp_path)
    other.config["methods"]["sft"]["learning_rate"] = [1e-6, 1e-5]
    parts, manifest = release(other)
    assert list(manifest["fronts"]) == ["lora"] and "sft" in manifest["not_run"]
    assert any("sft: released with other settings" in note for note in parts.notes)


def test_points_that_are_missing_are_named(tmp_path):
    study = study_of(tmp_path, ("sft",))
    example.write(study.results, ("sft",), seeds=(1, 2))
    _, manifest = release(study)
    missing = manifest["fronts"]["sft"]["missing"]
    assert len(missing) == 5 and missing[0] == "rate 1e-05, seed 3"


def test_a_front_that_is_not_finished_is_released_without_a_choice(tmp_path):
    study = study_of(tmp_path, ("sft",))
    example.write(study.results, ("sft",), seeds=(1,))
    (study.results / "fronts/sft.json").unlink()
    parts, manifest = release(study)
    front = manifest["fronts"]["sft"]
    assert front["learning_rate"] is None and front["commit"] is None
    assert any("unknown commit" in note for note in parts.notes)
    assert any("10 points of the configuration missing" in note for note in parts.notes)


def test_changed_losses_of_a_release_are_refused(tmp_path):
    study = study_of(tmp_path, ("sft",))
    example.write(study.results, ("sft",))
    release(study)
    with open(study.released / "fronts/sft.parquet", "ab") as stream:
        stream.write(b"x")
    with pytest.raises(UserError, match="the released table 'fronts/sft' was changed"):
        released.read(study.released)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "sft.parquet").unlink(), "sft.parquet is missing"),
        (lambda folder: (folder / "sft.csv").unlink(), "no front yet"),
        (
            lambda folder: (folder / "sft.json").write_text(
                json.dumps({"learning_rate": 1e-4, "record": {"commit": "c+changes"}})
            ),
            "not committed",
        ),
    ],
)
def test_what_cannot_be_released_is_named(tmp_path, damage, message):
    study = study_of(tmp_path, ("sft",))
    example.write(study.results, ("sft",))
    damage(study.results / "fronts")
    with pytest.raises(UserError, match=message):
        release(study)
    assert not study.released.exists()


def test_a_study_that_is_released_in_full_is_not_replaced_by_its_fronts(tmp_path):
    study = study_of(tmp_path, ("sft",))
    example.write(study.results, ("sft",))
    release(study)
    manifest = json.loads((study.released / "manifest.json").read_text())
    (study.released / "metrics.csv").write_text("x\n")
    from jadapt.core.files import sha256_file

    manifest["tables"]["metrics"] = {"sha256": sha256_file(study.released / "metrics.csv")}
    (study.released / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="released in full"):
        release(study)


def test_a_study_without_fronts_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing to release"):
        release(study_of(tmp_path, fronts=None))


def test_released_losses_are_small_and_near(tmp_path):
    example.write(tmp_path, ("sft",))
    source, target = tmp_path / "fronts/sft.parquet", tmp_path / "small.parquet"
    compact(source, target, example.settings(("sft",)))
    keys = ["learning_rate", "interpolation", "seed", "domain", "document"]
    old, new = (
        pd.read_parquet(path).astype({"domain": str}).sort_values(keys, ignore_index=True)
        for path in (source, target)
    )
    compared = old["domain"].isin([*example.TASKS, example.KEPT])
    old = old[compared | (old["interpolation"] != 0.5)].reset_index(drop=True)
    assert list(old.columns) == list(new.columns)
    assert (old["bits"] - new["bits"]).abs().max() <= 1 / 16
    assert old[keys].equals(new[keys])
    assert target.stat().st_size < 0.6 * source.stat().st_size
