"""The memory that a run needs, and the micro-batch that would fit when there is not enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.optim import Optimizer

from jadapt.core.errors import UserError
from jadapt.training.distributed.sharding import local
from jadapt.training.kernels import cuda_graphs

MEBIBYTE = 2**20
# Fraction of the memory that is usable: the rest is lost to fragmentation and workspaces.
USABLE = 0.92


@dataclass(frozen=True)
class Fixed:
    """Memory in bytes that does not depend on the batch."""

    weights: int
    gradients: int
    optimiser: int

    @property
    def total(self) -> int:
        """The sum of the three."""
        return self.weights + self.gradients + self.optimiser


def fixed(model: nn.Module, optimiser: Optimizer | None = None) -> Fixed:
    """Return the bytes of a model in training; without an optimiser, assume the state of AdamW."""
    parameters = list(model.parameters())
    trained = _bytes(p for p in parameters if p.requires_grad)
    states = [
        value
        for state in (optimiser.state.values() if optimiser else ())
        for value in state.values()
        if torch.is_tensor(value)
    ]
    return Fixed(
        weights=_bytes([*parameters, *model.buffers()]),
        gradients=trained,
        optimiser=_bytes(states) if states else 2 * trained,
    )


def rows_that_fit(capacity: int, peak: int, fixed_bytes: int, rows: int) -> int:
    """Return an upper estimate of the rows per micro-batch that fit (activations grow with them).

    Args:
        capacity: memory of the device in bytes.
        peak: peak memory in bytes of the attempt that failed. The size of the allocation that
            failed is unknown, so fewer rows than returned may fit, but not more.
        fixed_bytes: memory that does not depend on the batch.
        rows: rows per micro-batch of the attempt.
    """
    # The attempt filled the device, or nearly, so a row needs at least this share of it.
    a_row = max(peak - fixed_bytes, capacity * USABLE - fixed_bytes, 1) / rows
    return max(0, min(rows - 1, int((capacity * USABLE - fixed_bytes) // a_row)))


@contextmanager
def named(settings: dict, module: Any, trainer: Trainer) -> Iterator[None]:
    """Turn an out-of-memory error of the device into a `UserError` that says what would fit."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        capacity, peak = device_memory()
        step = trainer.global_step + 1
        raise out_of_memory(settings, module.model, capacity, peak, step) from error


def out_of_memory(
    settings: dict, model: nn.Module | None, capacity: int, peak: int, step: int
) -> UserError:
    """Return the error that names the micro-batch size of a run and one that would fit."""
    rows, length = settings["micro_batch_size"], settings["sequence_length"]
    sizes = fixed(model).total if model is not None else 0
    share = settings["global_batch_size"] // settings["devices"]
    limit = rows_that_fit(capacity, peak, sizes, rows)
    fitting = max((n for n in range(1, limit + 1) if share % n == 0), default=0)
    advice = (
        f"at most about {fitting} would fit: set training.micro_batch_size: {fitting}"
        if fitting
        else "no row of this length would: lower training.sequence_length"
    )
    return UserError(
        f"training.micro_batch_size: out of memory at step {step} with {rows} rows of {length} "
        f"tokens (peak {peak / MEBIBYTE:,.0f} of {capacity / MEBIBYTE:,.0f} MiB, weights, "
        f"gradients and optimiser {sizes / MEBIBYTE:,.0f}); {advice}, or "
        "training.fast.cross_entropy_chunk: 1024, which keeps the logits out of memory"
    )


def device_memory() -> tuple[int, int]:
    """Return the total memory and the peak use of this process in bytes: GPU, or host on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[1], cuda_graphs.peak_bytes()
    import psutil

    from jadapt.training.meters import peak_memory_mib

    return psutil.virtual_memory().total, int(peak_memory_mib() * MEBIBYTE)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of tensors on this device, counting tied ones once."""
    tensors = map(local, tensors)
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors if t.numel()}.values())
