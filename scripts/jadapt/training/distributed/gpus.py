"""Assign GPUs to the jobs of a machine by lock files, so that no two jobs share one.

Snakemake counts GPUs (``resources: gpu=1``) but does not say which of them a job may use; SLURM
does both. This module does not import torch, because CUDA_VISIBLE_DEVICES must be set before torch
looks for devices.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from jadapt.core.errors import UserError

VARIABLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def assigned(settings: Mapping) -> Iterator[list[str]]:
    """Lock as many GPUs as the run's ``devices`` for the duration of the block, and make only these
    visible (CUDA_VISIBLE_DEVICES).

    Does nothing for a run on the CPU, or where no GPU can be listed; missing GPUs are reported by
    `devices.check_devices`, which asks torch. The locks are released when the process ends, however
    it ends. While too few GPUs are free, the job waits.

    Raises:
        UserError: the machine has fewer GPUs than the run is configured for.
    """
    if settings.get("accelerator") != "gpu":
        yield []
        return
    devices = visible(os.environ.get(VARIABLE), installed())
    count = settings.get("devices", 1)
    if not devices:
        yield []
        return
    if len(devices) < count:
        raise UserError(
            f"training.devices: {count} GPUs are configured, this machine shows {len(devices)} "
            f"({', '.join(devices)}); lower devices or show more of them in {VARIABLE}"
        )
    with ExitStack() as held:
        chosen = _take(devices, count, held)
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = ",".join(chosen)
        print(f"{VARIABLE}={os.environ[VARIABLE]}", file=sys.stderr, flush=True)
        try:
            yield chosen
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def installed() -> list[str]:
    """Return the UUIDs of the GPUs that nvidia-smi lists, in its order; [] without nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def visible(variable: str | None, installed: list[str]) -> list[str]:
    """Return the GPUs that this process may use, as UUIDs where these are known.

    In a cluster the same index may mean different GPUs in different jobs, so indices cannot serve
    as names of locks.
    """
    if variable is None:
        return installed
    names = [name.strip() for name in variable.split(",") if name.strip()]
    return [
        installed[int(name)] if name.isdigit() and int(name) < len(installed) else name
        for name in names
    ]


def folder() -> Path:
    """Return the folder of the lock files; each user of a machine has one."""
    path = Path(tempfile.gettempdir()) / f"jadapt-gpus-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _take(devices: list[str], count: int, held: ExitStack) -> list[str]:
    """Lock ``count`` devices, all of them or none, waiting until enough are free."""
    waited = False
    while True:
        # One process at a time chooses; else two of them could each hold half of what both need.
        with open(folder() / "choosing", "a", encoding="utf-8") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            streams: dict[str, IO[str]] = {}
            for name in devices:
                if len(streams) < count and (stream := _lock(name)):
                    streams[name] = stream
            if len(streams) == count:
                for stream in streams.values():
                    held.enter_context(stream)
                return list(streams)
            for stream in streams.values():
                stream.close()
        if not waited:
            print("every GPU is taken; waiting for one", file=sys.stderr, flush=True)
            waited = True
        time.sleep(1)


def _lock(name: str) -> IO[str] | None:
    stream = open(folder() / name.replace("/", "_"), "a", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return None
    return stream
