"""Where the memory of a run goes, and what would fit when there is not enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer

from jadapt.core.errors import UserError
from jadapt.training.distributed.sharding import local
from jadapt.training.kernels import cuda_graphs

MEBIBYTE = 2**20
# Fragments and the workspaces of libraries.
USABLE = 0.92


@dataclass(frozen=True)
class Fixed:
    """Bytes that do not depend on the batch."""

    weights: int
    gradients: int
    optimiser: int

    @property
    def total(self) -> int:
        """Their sum."""
        return self.weights + self.gradients + self.optimiser


def fixed(model: nn.Module, optimiser: Optimizer | None = None) -> Fixed:
    """Return the bytes of a model in training; without an optimiser, those that AdamW will need."""
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
    """Return an upper estimate of the rows of a micro-batch that fit: activations grow with them.

    Args:
        capacity: bytes of the device.
        peak: bytes in use at the peak of the attempt that failed; what it asked for beyond them
            is not known, so that fewer rows than returned may fit, and no more.
        fixed_bytes: what does not depend on the batch.
        rows: of the attempt.
    """
    # The attempt filled the device, or nearly: a row takes at least its share of that.
    a_row = max(peak - fixed_bytes, capacity * USABLE - fixed_bytes, 1) / rows
    return max(0, min(rows - 1, int((capacity * USABLE - fixed_bytes) // a_row)))


@contextmanager
def named(settings: dict, module: LightningModule, trainer: Trainer) -> Iterator[None]:
    """Turn the device's running out of memory into one line that says what would fit."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        capacity, peak = device_memory()
        step = trainer.global_step + 1
        raise out_of_memory(settings, module.model, capacity, peak, step) from error


def out_of_memory(
    settings: dict, model: nn.Module | None, capacity: int, peak: int, step: int
) -> UserError:
    """Return the error that names the micro-batch of a run and what would fit."""
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
    """Return the bytes of the device in use and the peak of this process; of the host on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[1], cuda_graphs.peak_bytes()
    import psutil

    from jadapt.training.meters import peak_memory_mib

    return psutil.virtual_memory().total, int(peak_memory_mib() * MEBIBYTE)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of tensors on this device, tied ones once."""
    tensors = map(local, tensors)
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors if t.numel()}.values())
