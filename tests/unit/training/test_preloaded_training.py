"""A run in a child of the preloaded process ends with the same bytes as one elsewhere."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny_study
from jadapt.workflow import preloaded
from run_files import lines, weights, without_clocks

JOB = """
import sys
from pathlib import Path
from jadapt.workflow.preloaded import run

def main():
    import tiny_study
    from jadapt.training.module import AdaptationModule

    study, work = map(Path, sys.argv[1:])
    module = AdaptationModule(study / "model")
    trained = tiny_study.run(study, work, module, **tiny_study.RUNS["lora_replay"])
    trained.train()
    trained.publish()

run(main)
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """One that has imported what trains, as the workflow's has."""
    monkeypatch.chdir(tmp_path)
    places = [Path(tiny_study.__file__).parent, Path(preloaded.__file__).parents[2]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, places)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in (preloaded.SWITCH, "PYTEST_CURRENT_TEST", *preloaded.ELSEWHERE):
        monkeypatch.delenv(name, raising=False)
    started = preloaded.Server()
    started.start("--modules", "jadapt.training.module", "jadapt.training.run")
    end = time.monotonic() + 300
    while not list(preloaded.FOLDER.glob("*.socket")) and time.monotonic() < end:
        time.sleep(0.1)
    yield started
    started.stop()


def test_a_served_run_gives_the_same_bytes(server, study, module, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(JOB)
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, script, study, tmp_path / "served"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("in a preloaded process: "), done.stderr
    run = tiny_study.run(study, tmp_path / "here", module, **tiny_study.RUNS["lora_replay"])
    run.train()
    run.publish()
    served, here = tmp_path / "served", tmp_path / "here"
    assert weights(served / "output/models") == weights(here / "output/models")
    assert without_clocks(lines(served)) == without_clocks(lines(here))
