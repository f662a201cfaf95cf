"""The removal of a study's results: that folder, and only while nobody works in it."""

import argparse
import fcntl
from pathlib import Path

import pytest

from jadapt.config import studies
from jadapt.core.errors import UserError
from jadapt.release import cleaning
from jadapt.workflow import stale_jobs


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The shipped study in an empty folder, where nothing runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stale_jobs, "running", lambda folder: [])
    monkeypatch.setattr(stale_jobs, "queued", lambda folder: [])
    options = {"results": None, "released": None}
    path = studies.ROOT / "config/config.yaml"
    return studies.load(argparse.Namespace(configfile=[path], **options))


def refused(study, message):
    with pytest.raises(UserError, match=message) as raised:
        cleaning.refuse(study)
    assert "\n" not in str(raised.value)


def test_a_study_goes_and_its_neighbours_stay(study, tmp_path):
    for name in ("mini", "other"):
        (tmp_path / "results" / name / "runs").mkdir(parents=True)
    (tmp_path / "results/mini/metrics.csv").write_text("12345")
    (tmp_path / "results/mini/runs/link").symlink_to(tmp_path / "results/other")
    cleaning.refuse(study)
    assert cleaning.contents(study.results) == "1 files, 0.0 MiB"
    cleaning.remove(study.results)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["other"]
    assert (tmp_path / "results/other/runs").is_dir()


def test_what_is_not_the_folder_of_a_study_stays(study, tmp_path):
    (tmp_path / "results/mini").mkdir(parents=True)
    cleaning.refuse(study)
    (tmp_path / "results/mini/thesis.tex").write_text("x")
    refused(study, "results/mini: holds nothing that this workflow makes")
    (tmp_path / "results/mini/thesis.tex").unlink()
    (tmp_path / "results/mini").rmdir()
    (tmp_path / "elsewhere/runs").mkdir(parents=True)
    (tmp_path / "results/mini").symlink_to(tmp_path / "elsewhere")
    refused(study, "is not results/mini of this folder, or a link")
    study = studies.Study(study.config, (), Path("elsewhere"), Path("x"))
    refused(study, "elsewhere: is not results/mini of this folder")


def test_a_study_that_trains_stays(study, tmp_path, monkeypatch):
    lock = tmp_path / "results/mini/checkpoints/lora/seed1.lock"
    lock.parent.mkdir(parents=True)
    (tmp_path / "results/mini/runs").mkdir()
    lock.write_text("process 12 on host")
    cleaning.refuse(study)
    with open(lock, "a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        refused(study, "seed1.lock: process 12 on host trains this run; wait, or stop it")
    monkeypatch.setattr(stale_jobs, "running", lambda folder: [77])
    refused(study, r"Snakemake is running here \(process 77\)")
    monkeypatch.setattr(stale_jobs, "running", lambda folder: [])
    monkeypatch.setattr(stale_jobs, "queued", lambda folder: ["5"])
    refused(study, r"SLURM still has jobs of this folder \(5\)")
