"""Launch one process per device, as torchrun does, and end them together.

The process that the user started trains nothing. It locks the GPUs, starts the same command once
per device, with the environment variables that torch.distributed and Lightning read (``LOCAL_RANK``
and so on), and waits. Lightning's own launcher would start the other processes only after the
first has loaded everything, and every process that fails would print a traceback.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO

from jadapt.core.errors import UserError
from jadapt.training.distributed import gpus, worker

# Seconds that the other processes get to end by themselves after one has failed.
GRACE = 10.0


def on_devices(settings: Mapping, work: Callable[[], None]) -> None:
    """Run ``work`` in one process per device: in this process, or in those that it launches.

    Raises:
        UserError: the machine has fewer GPUs than the run's ``devices``, or a process failed.
    """
    if worker.rank(settings) is None:
        with gpus.assigned(settings):
            start(settings["devices"])
    elif settings.get("devices", 1) == 1:
        with gpus.assigned(settings):
            work()
    else:
        # Imported here because it imports torch. The launching process has locked the GPUs.
        from jadapt.training.distributed import ranks

        with ranks.joined(settings):
            work()


def start(count: int) -> None:
    """Run this very command in ``count`` processes; return when all of them have succeeded.

    Only the output of rank 0 is passed on. That of another process is shown if it was the first to
    fail and has printed more than one line.

    Raises:
        UserError: a process other than rank 0 failed.
        SystemExit: rank 0 failed, and has already printed the reason.
    """
    command = [sys.executable, *sys.orig_argv[1:]]
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    reader, writer = os.pipe()
    processes: list[subprocess.Popen] = []
    outputs: list[IO[bytes]] = []
    try:
        shared = {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()),
            "WORLD_SIZE": str(count), "NODE_RANK": "0", worker.LIFELINE: str(reader),
        }  # fmt: skip
        for number in range(count):
            outputs.append(tempfile.TemporaryFile())  # noqa: SIM115
            environment = os.environ | shared | {worker.RANK: str(number), "RANK": str(number)}
            stream = None if number == 0 else outputs[-1]
            processes.append(
                subprocess.Popen(
                    command, env=environment, pass_fds=(reader,), stdout=stream, stderr=stream
                )
            )
        failed = _wait(processes)
        if failed is not None:
            _explain(failed, processes, outputs)
    finally:
        _end(processes)
        os.close(reader)
        os.close(writer)
        for output in outputs:
            output.close()
        signal.signal(signal.SIGTERM, before)


def _wait(processes: list[subprocess.Popen]) -> int | None:
    """Wait for all processes; return the rank that failed first, or None if none did."""
    while True:
        codes = [process.poll() for process in processes]
        failed = [number for number, code in enumerate(codes) if code]
        if failed:
            break
        if all(code == 0 for code in codes):
            return None
        time.sleep(0.1)
    # The same mistake may end all of them; report the lowest rank that failed by itself.
    _until(lambda: all(process.poll() is not None for process in processes), GRACE)
    own = [n for n, process in enumerate(processes) if process.poll() not in (None, 0, worker.LOST)]
    return min(own, default=failed[0])


def _explain(failed: int, processes: list[subprocess.Popen], outputs: list[IO[bytes]]) -> None:
    code = processes[failed].returncode
    if code < 0:
        raise UserError(
            f"process {failed} of {len(processes)} was ended by signal {-code} "
            f"({signal.Signals(-code).name}); if the system's memory ran out, lower "
            "training.micro_batch_size"
        )
    if failed == 0:
        # It has already printed its error message.
        sys.exit(1 if code == worker.LOST else code)
    outputs[failed].seek(0)
    text = outputs[failed].read().decode("utf-8", errors="replace").rstrip()
    last = text.rpartition("\n")[2]
    if not last.startswith("error: "):
        print(text, file=sys.stderr)
    raise UserError(f"process {failed} of {len(processes)}: {last.removeprefix('error: ')}")


def _end(processes: list[subprocess.Popen]) -> None:
    """Stop the remaining processes, with SIGKILL if need be: a process that waits in a collective
    operation does not react to SIGTERM."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    _until(lambda: all(process.poll() is not None for process in processes), 2.0)
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
