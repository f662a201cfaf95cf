"""What the processes of a run on several devices tell each other; with one process, nothing.

Every function here is to be called by all of them, in the same order.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from jadapt import launching

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
    launching.follow_starter()
    number = launching.rank(settings)
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
    except RuntimeError as error:
        if any(words in str(error).lower() for words in _LOST):
            # Another one has failed, and says why. At once: at an orderly end the threads that
            # still wait for it can abort the process, which would then be the one to blame.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(launching.LOST)
        raise
    distributed.destroy_process_group()


def count() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return this process's number."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Tell whether this process is the one that writes files."""
    return rank() == 0


def first(work: Callable[[], T]) -> T:
    """Let the first process do ``work``; return what it returned, in all of them."""
    if count() == 1:
        return work()
    found = [work() if is_first() else None]
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
