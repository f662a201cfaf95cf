"""The lock that a killed workflow leaves behind."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jadapt.core.errors import UserError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "unlock_stale.py"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.input.lock").write_text("x\n")
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'done'\n    shell: 'sleep 60'\n")
    return tmp_path


def unlock(folder):
    return subprocess.run(
        [sys.executable, SCRIPT], cwd=folder, capture_output=True, text=True
    )  # fmt: skip


def test_a_lock_of_nobody_is_taken_away(folder):
    done = unlock(folder)
    assert done.returncode == 0, done.stderr
    assert "its lock is taken away" in done.stderr
    assert not list(folder.glob(".snakemake/locks/*"))
    assert unlock(folder).stderr == ""


def test_the_lock_of_a_running_workflow_stays(folder):
    (folder / ".snakemake/locks/0.input.lock").unlink()
    with subprocess.Popen(
        ["snakemake", "--cores", "1"], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 30
            while not list(folder.glob(".snakemake/locks/*")):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            done = unlock(folder)
            assert done.returncode == 1
            assert f"process {process.pid}" in done.stderr
            assert list(folder.glob(".snakemake/locks/*"))
        finally:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()


@pytest.mark.parametrize(
    ("locked", "refused"),
    [
        (["results/other/metrics.csv", "resources/downloads/django/fetched.json"], False),
        (["results/mini_2/metrics.csv"], False),
        (["results/other/metrics.csv", "results/mini/metrics.csv"], True),
    ],
)
def test_a_workflow_of_another_study_is_in_nobodys_way(tmp_path, monkeypatch, locked, refused):
    spec = importlib.util.spec_from_file_location("unlock_stale", SCRIPT)
    unlock_stale = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unlock_stale)
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "0.output.lock").write_text("\n".join(locked))
    monkeypatch.setattr(unlock_stale, "LOCKS", locks)
    monkeypatch.setattr(unlock_stale.stale_jobs, "running", lambda folder: [1])
    study = str(SCRIPT.parents[1] / "config/config.yaml")
    monkeypatch.setattr(sys, "argv", ["unlock_stale", "--", "--configfile", study])
    if refused:
        with pytest.raises(UserError, match="Snakemake is running here"):
            unlock_stale.main()
    else:
        unlock_stale.main()
    assert list(locks.iterdir())
