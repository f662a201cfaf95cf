"""The choice between bitwise reproducible kernels and the fastest ones."""

from __future__ import annotations

import os

import torch


def make_deterministic(accelerator: str, deterministic: bool) -> None:
    """Use only kernels that return the same bits in every run, or let torch choose the fastest.

    On a GPU this must be called before the first matrix product; operations without a deterministic
    kernel warn there instead of failing.
    """
    on_gpu = accelerator == "gpu"
    if deterministic and on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic, warn_only=on_gpu)
    # Filling every new tensor with NaN reveals reads of uninitialised memory, but is slow on a GPU.
    torch.utils.deterministic.fill_uninitialized_memory = not on_gpu  # type: ignore[attr-defined]
