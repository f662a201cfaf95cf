"""Processes that train together end together, with one line, whichever of them fails and how."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jadapt.core.errors import UserError
from jadapt.training.distributed import launching, worker

# One process a device; each does what its argument says.
SCRIPT = """
import os, signal, sys, time
from jadapt.training.distributed import launching, worker
from jadapt.core.errors import UserError, run

def work():
    number = worker.rank({"devices": 2})
    print(f"rank {number} of {os.environ['WORLD_SIZE']}", file=sys.stderr)
    does = sys.argv[1 + number]
    if does == "wait":
        time.sleep(60)
    elif does == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    elif does == "lost":
        sys.exit(worker.LOST)
    elif does == "refuse":
        raise UserError(f"key: wrong, says {number}")
    elif does == "break":
        raise RuntimeError("broken")
    elif does == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif does == "follow":
        worker.follow_starter()
        print(f"pid {os.getpid()}", flush=True)
        time.sleep(60)

def main():
    if worker.rank({"devices": 2}) is None:
        launching.start(2)
    else:
        work()

launching.GRACE = 1.0
run(main)
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return [sys.executable, str(path)]


def ended(script, *does):
    begin = time.monotonic()
    done = subprocess.run([*script, *does], capture_output=True, text=True, check=False, timeout=50)
    assert time.monotonic() - begin < 30
    lines = done.stderr.splitlines()
    assert lines[0] == "rank 0 of 2" or does[0] == "killed"
    return done.returncode, [line for line in lines if not line.startswith("rank ")]


def test_processes_that_end_well_say_nothing_twice(script):
    assert ended(script, "end", "end") == (0, [])


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        ("refuse", "wait", "error: key: wrong, says 0"),
        ("refuse", "refuse", "error: key: wrong, says 0"),
        ("wait", "refuse", "error: process 1 of 2: key: wrong, says 1"),
        ("stubborn", "refuse", "error: process 1 of 2: key: wrong, says 1"),
        ("lost", "refuse", "error: process 1 of 2: key: wrong, says 1"),
        ("lost", "killed", "error: process 1 of 2 was ended by signal 9 (SIGKILL); if the system's "
         "memory ran out, lower training.micro_batch_size"),
        ("killed", "lost", "error: process 0 of 2 was ended by signal 9 (SIGKILL); if the system's "
         "memory ran out, lower training.micro_batch_size"),
    ],
)  # fmt: skip
def test_the_one_to_blame_has_one_line(script, first, second, line):
    assert ended(script, first, second) == (1, [line])


def test_a_bug_shows_its_traceback(script):
    code, lines = ended(script, "lost", "break")
    assert code == 1
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "error: process 1 of 2: RuntimeError: broken"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(script, number):
    starter = subprocess.Popen(
        [*script, "follow", "wait" if number == signal.SIGTERM else "end"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    pid = int(starter.stdout.readline().split()[1])
    starter.send_signal(number)
    starter.wait(20)
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(pid)
    starter.stdout.close()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_device_is_one_process_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert worker.rank({"devices": 1}) == 0
    assert worker.rank({"devices": 2}) == 1
    monkeypatch.delenv("LOCAL_RANK")
    assert worker.rank({"devices": 2}) is None


CONNECTED = """
import atexit, os, sys
from jadapt.training.distributed import launching, worker
from jadapt.core.errors import UserError, run

def work():
    from jadapt.training.distributed import ranks
    assert ranks.on_rank_zero(lambda: ranks.rank()) == 0
    assert ranks.gather(ranks.rank()) == [0, 1]
    assert ranks.mean([ranks.rank(), 3]) == [0.5, 3.0]
    assert ranks.largest(ranks.rank()) == 1
    if ranks.rank() == int(sys.argv[1]):
        raise UserError("key: wrong")
    ranks.mean([1.0])

if "LOCAL_RANK" in os.environ:
    # As threads of a process group do now and then, when the interpreter ends in good order.
    atexit.register(os.abort)
run(lambda: launching.on_devices({"devices": 2, "accelerator": "cpu"}, work))
"""


@pytest.mark.parametrize(
    ("failing", "line"),
    [("0", "error: key: wrong"), ("1", "error: process 1 of 2: key: wrong")],
)
def test_who_failed_says_why_and_who_lost_the_others_leaves_it_to_them(tmp_path, failing, line):
    path = tmp_path / "script.py"
    path.write_text(CONNECTED)
    done = subprocess.run(
        [sys.executable, path, failing], capture_output=True, text=True, check=False, timeout=100,
        env=os.environ,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith(("error", "Trace"))]
    assert (done.returncode, lines) == (1, [line]), done.stderr


def test_a_check_before_anything_starts_fails_once(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(launching.gpus, "installed", lambda: ["GPU-a"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UserError, match=r"training\.devices: 2 GPUs are configured"):
        launching.on_devices({"devices": 2, "accelerator": "gpu"}, lambda: None)
