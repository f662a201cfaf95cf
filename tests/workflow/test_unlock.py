"""The lock that a killed workflow leaves behind."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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
