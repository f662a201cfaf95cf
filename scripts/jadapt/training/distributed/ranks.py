"""What the processes of a run on several devices tell each other; with one process, nothing.

Every function here is to be called by all of them, in the same order.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from jadapt.training.distributed import worker

T = TypeVar("T")
# Longer than the first process alone may take for a checkpoint or for noting what a task left.
TIMEOUT = timedelta(minutes=60)
# Of two processes' random numbers; a run's seeds are multiples of 1000 and places in a sequence.
_SEED_STRIDE = 1_000_003
_LOST = ("connection closed by peer", "connection reset by peer", "broken pipe")


@contextmanager
def joined(settings: Mapping) -> Iterator[None]:
    """Connect the processes of a run while the block runs; one device needs none of it."""
    if settings["devices"] == 1:
        yield
        return
    worker.follow_starter()
    number = worker.rank(settings)
    on_gpu = settings["accelerator"] == "gpu"
    if on_gpu:
        torch.cuda.set_device(number)
    elif any(name == "lo" for _, name in socket.if_nameindex()):
        # All processes are of one machine, whose own name need not lead anywhere.
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
        # Not by an orderly end of the interpreter: there, threads that still serve the others
        # abort one process in six (torch 2.13, gloo), and the signal would hide who is to blame.
        if _is_lost(error):
            # Another one has failed, and says why.
            _end_at_once(worker.LOST)
        # Once its line is printed, which the caller does.
        atexit.register(_end_at_once, 1)
        raise
    distributed.destroy_process_group()


def _is_lost(error: Exception) -> bool:
    """Tell whether this is how a process notices that another one is gone."""
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST)


def _end_at_once(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def count() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return this process's number."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_rank_zero() -> bool:
    """Tell whether this process is the one that writes files."""
    return rank() == 0


def on_rank_zero(work: Callable[[], T]) -> T:
    """Let the first process do ``work``; return what it returned, in all of them."""
    if count() == 1:
        return work()
    found = [work() if is_rank_zero() else None]
    distributed.broadcast_object_list(found, src=0)
    return found[0]


def gather(value: T) -> list[T]:
    """Return the value of every process, by number."""
    if count() == 1:
        return [value]
    found = [None] * count()
    distributed.all_gather_object(found, value)
    return found


def mean(values: Sequence[float]) -> list[float]:
    """Return the means of numbers over the processes, each of its own place."""
    if count() == 1 or not values:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=_device())
    distributed.all_reduce(total)
    return (total / count()).tolist()


def largest(value: float) -> float:
    """Return the largest of the processes' numbers."""
    if count() == 1:
        return value
    found = torch.tensor(value, dtype=torch.float64, device=_device())
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return found.item()


def own_seed(seed: int) -> int:
    """Return a seed of this process: rows differ, and so must what dropout draws for them."""
    return seed + _SEED_STRIDE * rank()


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
