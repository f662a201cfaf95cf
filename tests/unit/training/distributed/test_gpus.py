"""Jobs of one machine get GPUs of their own; the GPUs here are names from a fake nvidia-smi."""

import os
import subprocess
import sys

import pytest

from jadapt.core.errors import UserError
from jadapt.training.distributed import gpus

JOB = """
import os, sys, time
from jadapt.training.distributed import gpus
with gpus.assigned({"accelerator": "gpu", "devices": int(sys.argv[1])}) as chosen:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(chosen)
    print("start", *chosen, flush=True)
    sys.stdin.readline()
print("end", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with three GPUs and a folder for temporary files of its own."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\nGPU-c\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(gpus.tempfile, "tempdir", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def job(count):
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(count)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def started(process):
    word, *chosen = process.stdout.readline().split()
    assert word == "start"
    return chosen


def test_no_two_jobs_share_a_gpu_and_a_freed_one_is_taken_again(machine):
    first, second = job(1), job(2)
    one, two = started(first), started(second)
    assert len(one) == 1 and len(two) == 2
    assert {*one, *two} == {"GPU-a", "GPU-b", "GPU-c"}
    third = job(1)
    # It says so and waits.
    assert third.stderr.readline() == "every GPU is taken; waiting for one\n"
    # However a job ends, its GPUs are free.
    second.kill()
    assert started(third)[0] in two
    for process in (first, third):
        output, _ = process.communicate("\n", timeout=60)
        assert output == "end None\n"
    second.communicate()


def test_what_the_environment_shows_is_what_is_taken(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    with gpus.assigned({"accelerator": "gpu", "devices": 2}) as chosen:
        assert chosen == ["GPU-c", "GPU-b"]
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-c,GPU-b"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,1"
    with (
        pytest.raises(UserError, match=r"training\.devices: 3 GPUs are configured, .* shows 2"),
        gpus.assigned({"accelerator": "gpu", "devices": 3}),
    ):
        pass


def test_without_gpus_nothing_is_taken(machine, monkeypatch):
    with gpus.assigned({"accelerator": "cpu", "devices": 1}) as chosen:
        assert chosen == []
    monkeypatch.setattr(gpus, "installed", list)
    with gpus.assigned({"accelerator": "gpu", "devices": 1}) as chosen:
        assert chosen == [] and "CUDA_VISIBLE_DEVICES" not in os.environ
