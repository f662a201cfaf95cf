"""Collective operations between the processes of a run; with one process they do nothing.

Every process of the run must call each of these functions, in the same order.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from jadapt.training.distributed import worker

T = TypeVar("T")
# Longer than rank 0 may need, while the others wait, to write a checkpoint or a strategy's state.
TIMEOUT = timedelta(minutes=60)
# Added to a seed once per rank. Seeds of streams (`jadapt.core.seeds`) lie below 2**31, so those of
# all ranks lie below the 2**32 that numpy takes.
_SEED_STRIDE = 1_000_003
_LOST = ("connection closed by peer", "connection reset by peer", "broken pipe")


@contextmanager
def joined(settings: Mapping) -> Iterator[None]:
    """Join the process group of a run for the duration of the block, unless it has one device."""
    if settings["devices"] == 1:
        yield
        return
    worker.follow_starter()
    number = worker.rank(settings)
    if number is None:
        raise RuntimeError("the launching process is no rank of the run")
    on_gpu = settings["accelerator"] == "gpu"
    if on_gpu:
        torch.cuda.set_device(number)
    elif any(name == "lo" for _, name in socket.if_nameindex()):
        # All processes are on this machine, whose host name need not resolve to an address.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        rank=number,
        world_size=settings["devices"],
        timeout=TIMEOUT,
    )
    try:
        yield
    except Exception as error:
        # The process must not end through the interpreter's shutdown: there, one process in six is
        # aborted by gloo's threads (torch 2.13), and the signal would hide which process failed.
        if _is_lost(error):
            # Another process has failed, and reports the reason.
            _end_at_once(worker.LOST)
        # Runs after the caller has printed the error message.
        atexit.register(_end_at_once, 1)
        raise
    distributed.destroy_process_group()


def _is_lost(error: Exception) -> bool:
    """Tell whether an error means that the connection to another process was lost."""
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST)


def _end_at_once(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def count() -> int:
    """Return the number of processes of the run."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_rank_zero() -> bool:
    """Tell whether this process is the one that writes files."""
    return rank() == 0


def on_rank_zero(work: Callable[[], T]) -> T:
    """Run ``work`` in rank 0 only; return its result in all processes."""
    if count() == 1:
        return work()
    found: list[Any] = [work() if is_rank_zero() else None]
    distributed.broadcast_object_list(found, src=0)
    return found[0]


def gather(value: T) -> list[T]:
    """Return the values of all processes, ordered by rank."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    distributed.all_gather_object(found, value)
    return found


def mean(values: Sequence[float]) -> list[float]:
    """Return the means over the processes, element by element."""
    if count() == 1 or not values:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=_device())
    distributed.all_reduce(total)
    return (total / count()).tolist()


def largest(value: float) -> float:
    """Return the maximum over the processes."""
    if count() == 1:
        return value
    found = torch.tensor(value, dtype=torch.float64, device=_device())
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return found.item()


def own_seed(seed: int) -> int:
    """Return a seed for this rank: dropout must draw different numbers in each process."""
    return seed + _SEED_STRIDE * rank()


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
