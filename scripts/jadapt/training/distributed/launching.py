"""Start one process a device, as torchrun does, and end them together.

The process of the command line trains nothing: it holds the GPUs, starts the same command once for
each device with the variables that torch.distributed and Lightning read (``LOCAL_RANK`` and the
like), and waits. Lightning's own launcher would start the others only when the first has loaded
everything, and leave a traceback of each behind.
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

# Seconds that the others have to end by themselves when one has failed.
GRACE = 10.0


def on_devices(settings: Mapping, work: Callable[[], None]) -> None:
    """Do ``work`` in one process a device: here, or in processes that this one starts.

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
        # Imported late, as it imports torch; the GPUs are held by the process that started this.
        from jadapt.training.distributed import ranks

        with ranks.joined(settings):
            work()


def start(count: int) -> None:
    """Run this very command in ``count`` processes; return when all of them have ended well.

    Only the first one writes to this process's output. The others' is shown when one of them
    is the first to fail and it is more than a line.

    Raises:
        UserError: a process other than the first failed.
        SystemExit: the first failed, and has said why.
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
            streams = {} if number == 0 else {"stdout": outputs[-1], "stderr": outputs[-1]}
            processes.append(
                subprocess.Popen(command, env=environment, pass_fds=(reader,), **streams)
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
    """Wait for all; return the number of the one that failed first, None when none did."""
    while True:
        codes = [process.poll() for process in processes]
        failed = [number for number, code in enumerate(codes) if code]
        if failed:
            break
        if all(code == 0 for code in codes):
            return None
        time.sleep(0.1)
    # The same mistake may end all of them; the first one's line is then the one to read.
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
        # It has printed its own line.
        sys.exit(1 if code == worker.LOST else code)
    outputs[failed].seek(0)
    text = outputs[failed].read().decode("utf-8", errors="replace").rstrip()
    last = text.rpartition("\n")[2]
    if not last.startswith("error: "):
        print(text, file=sys.stderr)
    raise UserError(f"process {failed} of {len(processes)}: {last.removeprefix('error: ')}")


def _end(processes: list[subprocess.Popen]) -> None:
    """Stop what still runs; a process that waits for another one in vain ignores SIGTERM."""
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
