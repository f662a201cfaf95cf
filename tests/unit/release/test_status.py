"""What `make status` says of a study that is under way."""

import argparse
import fcntl
import json
import subprocess
import sys

import pytest

from jadapt.config import studies
from jadapt.core.files import write_json
from jadapt.release import status


@pytest.fixture
def study(tmp_path):
    """The shipped study, of which nothing has run yet."""
    path = studies.ROOT / "config/config.yaml"
    options = {"results": tmp_path / "results", "released": tmp_path / "released"}
    return studies.load(argparse.Namespace(configfile=[path], **options))


def finish(study, run, seed, seconds=48.0):
    steps = study.config["training"]["steps"] * len(study.config["sequence"])
    write_json(
        study.run_file(run, seed), {"seconds": seconds, "training_seconds": 1.0, "steps": steps}
    )
    study.evaluation(run, seed).parent.mkdir(parents=True, exist_ok=True)
    study.evaluation(run, seed).touch()


def log(study, run, seed, task, *lines):
    folder = study.results / "checkpoints" / run / f"seed{seed}" / task
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def of(study, run, seed):
    (found,) = [p for p in status.progress(study) if (p.run, p.seed) == (run, seed)]
    return found


def test_before_anything_ran_all_wait_and_nothing_is_known_of_the_time(study):
    found = status.progress(study)
    assert {each.state for each in found} == {status.WAITING}
    assert {each.seconds_left for each in found} == {None}
    lines = status.report(study, 2)
    assert f"0 of {len(study.runs)} runs" in lines[0] and "time left unknown" in lines[0]


def test_a_finished_run_tells_how_long_the_others_take(study):
    finish(study, "lora", 1, seconds=48.0)
    assert of(study, "lora", 1).state == status.DONE
    steps = of(study, "lora", 2).of
    assert of(study, "lora", 2).seconds_left == pytest.approx(48.0)
    study.evaluation("lora", 1).unlink()
    assert of(study, "lora", 1).state == status.TRAINED
    assert steps == study.config["training"]["steps"] * len(study.config["sequence"])


def test_a_running_one_is_known_by_its_lock_and_measured_by_its_own_speed(study):
    first, second = study.config["sequence"][:2]
    training = study.config["training"]
    line = {"task": first, "step": training["steps"], "training_loss": 2.5}
    folder = log(study, "ewc", 2, first, line)
    write_json(folder / "finished.json", {})
    tokens = training["global_batch_size"] * training["sequence_length"]
    line = {"task": second, "step": 4, "training_loss": 2.25, "tokens_per_second": tokens / 0.5}
    path = log(study, "ewc", 2, second, line) / "train.jsonl"
    # A line that is being written.
    path.write_text(path.read_text() + '{"task": "clo')
    lock = study.results / "checkpoints/ewc/seed2.lock"
    with open(lock, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        found = of(study, "ewc", 2)
    assert (found.state, found.steps) == (status.RUNNING, training["steps"] + 4)
    assert found.seconds_left == pytest.approx(0.5 * (found.of - found.steps))
    assert found.note == f"{second}, loss 2.250"
    # The file of a lock stays behind and means nothing.
    assert of(study, "ewc", 2).state == status.WAITING


def test_a_failed_one_shows_the_last_words_of_its_log(study):
    path = study.results / "logs/adapt/gem/seeds.log"
    path.parent.mkdir(parents=True)
    path.write_text("everyday: step 0 of 32\nRuntimeError: out of memory\n\n")
    found = of(study, "gem", 3)
    assert found.state == status.FAILED
    assert found.note == f"RuntimeError: out of memory ({path})"
    assert any("failed" in line and "out of memory" in line for line in status.report(study, 1))
    path.write_text("everyday: step 0 of 32\n")
    assert of(study, "gem", 3).state == status.WAITING


def test_the_whole_is_the_sum_of_runs_and_searches_over_the_jobs(study):
    for run, seed in study.runs:
        if (run, seed) not in [("lora", 2), ("lora", 3)]:
            finish(study, run, seed, seconds=100.0)
    for path in study.searches[1:]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    measured = study.results / "benchmarks/search" / f"{study.searches[1].stem}.tsv"
    measured.parent.mkdir(parents=True)
    measured.write_text("s\tcpu_time\n60\t50\n")
    # Two runs of a hundred seconds and a search of a minute, two at a time.
    assert "about 2 min left with 2 at a time" in status.report(study, 2)[0]
    assert "about 4 min left with 1 at a time" in status.report(study, 1)[0]


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (100, "2 min"), (5400, "1 h 30 min"), (86400, "24 h 0 min")]
)
def test_durations_in_words(seconds, words):
    assert status.duration(seconds) == words


@pytest.mark.parametrize(
    "words",
    [["--watch", "-1"], ["--watch", "0"], ["--watch", "nan"], ["--watch", "inf"],
     ["--watch", "1e300"], ["--jobs", "0"], ["--jobs", "-2"]],
)  # fmt: skip
def test_a_time_or_number_that_makes_no_sense_is_one_line(words):
    script = studies.ROOT / "scripts/status.py"
    done = subprocess.run(
        [sys.executable, script, f"{words[0]}={words[1]}"], capture_output=True, text=True,
        cwd=studies.ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {words[0]} ")
