"""The provenance of a run, and whether it may resume the work of an earlier attempt."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from jadapt.core import checksums, code_version
from jadapt.core.errors import UserError
from jadapt.core.files import read_json, write_json
from jadapt.methods import registry
from jadapt.training.distributed import ranks
from jadapt.workflow import code_hash

PACKAGES = ("nemo_toolkit", "lightning", "torch", "transformers", "numpy", "sentencepiece")
FINGERPRINT = "fingerprint.json"


def fingerprint(settings: dict, model: Path, tokens: dict[str, Path]) -> dict:
    """Return everything that determines the result of a run: settings, inputs, code (as hashes)."""
    return {
        "settings": settings,
        "model": checksums.digest(model / "model.safetensors"),
        "tokens": {
            f"{domain}/{split}": checksums.digest(tokens[domain] / split / "meta.json")
            for domain in sorted(_read_by(settings))
            for split in ("train", "validation")
        },
        "code": code_hash.checksum("jadapt.training.run", *registry.modules_of(settings)),
        "torch": version("torch"),
    }


def _read_by(settings: dict) -> set[str]:
    """Return the domains whose token files a training reads; others may be measured on."""
    mixture = settings.get("mixture", {}).get("domain")
    names = {settings["source_domain"], *settings["sequence"], mixture}
    return {name for name in names if name}


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold the lock of a run, so that no second process trains the same run; in a run on several
    devices rank 0 holds it.

    A workflow that was killed may leave a training process behind. Two of them would write to the
    same checkpoints.

    Raises:
        UserError: another process holds the lock.
    """
    if not ranks.is_rank_zero():
        yield
        return
    path = directory.with_name(f"{directory.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise UserError(
                f"{path}: {stream.read().strip() or 'another process'} still trains this run; "
                "wait for it, or stop it, and start again"
            ) from None
        stream.truncate(0)
        stream.write(_whereabouts())
        stream.flush()
        # The lock is released when the process ends, however it ends; the file itself stays.
        yield


def _whereabouts() -> str:
    """Describe this process so that a user on another host can find and stop it."""
    job = os.environ.get("SLURM_JOB_ID")
    where = f"process {os.getpid()} on {platform.node()}"
    return f"{where} (SLURM job {job}: scancel {job})" if job else where


def claim(directory: Path, expected: dict) -> None:
    """Keep the checkpoints in ``directory`` if they have this fingerprint; delete others."""
    path = directory / FINGERPRINT
    # A round trip through JSON, which turns tuples into lists.
    expected = json.loads(json.dumps(expected))
    if path.exists() and read_json(path) == expected:
        print(f"going on from {directory}", file=sys.stderr)
        return
    if directory.exists():
        print(f"{directory}: of another configuration or code, removed", file=sys.stderr)
        shutil.rmtree(directory)
    write_json(path, expected)


def describe(settings: dict) -> dict:
    """Return the part of ``run.json`` that does not depend on the method."""
    return {
        "settings": settings,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        "device": device(settings["devices"]),
        "commit": code_version.commit(),
        "lock": code_version.lock(PACKAGES),
    }


def device(count: int = 1) -> str:
    """Name the GPU, or the processor and its number of threads, with the number of devices."""
    times = f"{count} x " if count > 1 else ""
    if torch.cuda.is_available():
        return times + torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"{_processor()}, {times}{threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
