"""Faults of the cluster, each met by another run of one study, which ends with the same metrics."""

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from on_slurm import SITE, wait_for

TABLES = ("metrics", "curves", "grid")
RUNS = ("sft", "lora", "replay")


def comment(run):
    return f"rule_adapt_wildcards_{run}"


@pytest.fixture
def undo(study):
    """Take runs out of the finished study; gives back the tables that it had."""

    def without(runs, *more):
        before = tables(study)
        for run in runs:
            shutil.rmtree(study.results / f"runs/{run}")
            shutil.rmtree(study.results / f"evaluation/{run}")
        for folder in more:
            shutil.rmtree(study.results / folder)
        for name in TABLES:
            (study.results / f"{name}.csv").unlink()
        return before

    yield without
    study.site(SITE)


def targets(study):
    return [str((study.results / f"{name}.csv").relative_to(study.path)) for name in TABLES]


def tables(study):
    return {name: (study.results / f"{name}.csv").read_bytes() for name in TABLES}


def resumed_step(study, run):
    """Return the step of the task that the last attempt of a run began at."""
    log = (study.results / f"logs/adapt/{run}/seeds.log").read_text(encoding="utf-8")
    return int(re.findall(r"everyday: step (\d+) of", log)[-1])


def test_each_fault_of_a_job_or_node_leaves_the_metrics_as_they_were(study, undo):
    before = undo(RUNS, "search")
    slurm, node = study.slurm, study.slurm.ask("hostname", "-s")
    known = {run: len(slurm.history(comment(run))) for run in RUNS}
    searches = len(slurm.history("rule_search_wildcards_sft"))
    # Less memory than a search needs, and time for a first checkpoint on a slow machine too.
    study.site({**SITE, "search": {"mem_mb": 400}, "adapt": {"runtime": 2}})

    slurm.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    process = study.start(*targets(study))
    try:
        wait_for(lambda: len(slurm.queue()) >= 3, "no jobs in the queue")
        assert {state for _, state in slurm.queue().values()} == {"PENDING"}
        slurm.ask("scontrol", "update", f"nodename={node}", "state=resume")

        # One training is stopped until its time is over and one is put back into the queue; both
        # are watched at once, since either may be the first to have a checkpoint ...
        with ThreadPoolExecutor() as watchers:
            list(
                watchers.map(lambda run: study.freeze(run, process), ("lora/seed1", "replay/seed1"))
            )
        requeued, _ = slurm.queue()[comment("replay")]
        slurm.ask("scontrol", "requeue", requeued)
        # ... and one, which waited for the search that ran out of memory, is cancelled.
        study.freeze("sft/seed1", process)
        slurm.ask("scancel", slurm.queue()[comment("sft")][0])
        assert process.wait(timeout=1200) == 0, study.printed()
    finally:
        process.kill()

    search = slurm.history("rule_search_wildcards_sft")[searches:]
    assert search[0]["State"] in ("FAILED", "OUT_OF_MEMORY")
    assert search[-1]["State"] == "COMPLETED"
    assert [job["ReqMem"] for job in search] == ["400M", "800M", "1200M"][: len(search)]

    lora, replay, sft = (slurm.history(comment(run))[known[run] :] for run in RUNS[1:] + RUNS[:1])
    assert [job["State"] for job in lora] == ["TIMEOUT", "COMPLETED"]
    assert [job["Timelimit"] for job in lora] == ["00:02:00", "00:04:00"]
    assert {job["JobID"] for job in replay} == {requeued}
    assert replay[-1]["State"] == "COMPLETED"
    assert [job["State"].split()[0] for job in sft] == ["CANCELLED", "COMPLETED"]
    assert all(resumed_step(study, run) >= 2 for run in RUNS)
    assert tables(study) == before
    assert slurm.queue() == {}


def test_snakemake_killed_while_a_job_runs_starts_no_job_twice(study, undo):
    before = undo(["lora"])
    slurm = study.slurm
    process = study.start(*targets(study))
    trainer = study.freeze("lora/seed1", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = slurm.queue()
    job, _ = left[comment("lora")]

    # Neither the literal command after --unlock nor make's way submits anything beside them ...
    study.run(options=["--unlock"])
    again = study.run(*targets(study), check=False)
    assert again.returncode == 1
    assert f"scancel {' '.join(sorted(other for other, _ in left.values()))}" in again.stdout
    assert set(slurm.queue()) <= set(left)
    # ... and a process that was started by hand all the same is turned away by the run's lock.
    by_hand = train_by_hand(study)
    assert by_hand.returncode == 1
    assert f"process {trainer} on" in by_hand.stderr
    assert f"scancel {job}" in by_hand.stderr

    slurm.ask("scancel", *(other for other, _ in left.values()))
    wait_for(lambda: slurm.queue() == {}, "cancelled jobs still there")
    done = subprocess.run(
        [sys.executable, "scripts/unlock_stale.py", "--", "--configfile", "reduced.yaml"],
        cwd=study.path, env=study.environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    study.run(*targets(study))
    assert resumed_step(study, "lora") >= 2
    assert tables(study) == before


def train_by_hand(study):
    """Start the training of `lora` with the command of its rule, as Snakemake prints it."""
    output = study.run("results/reduced/runs/lora/seed1/run.json", options=["-n", "-p"]).stdout
    (command,) = re.findall(
        r"python scripts/train\.py .*?--output results/reduced/runs/lora", output, re.S
    )
    return subprocess.run(
        ["bash", "-c", command], cwd=study.path, capture_output=True, text=True,
        env={key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"},
    )  # fmt: skip
