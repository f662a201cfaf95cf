"""Whether two runs give the same digits, or each the fastest."""

from __future__ import annotations

import os

import torch


def make_deterministic(accelerator: str, deterministic: bool) -> None:
    """Keep to kernels that give the same digits every time, or let torch choose the fastest.

    On a GPU it must be called before the first matrix product; operations without such a kernel
    warn there instead of failing.
    """
    on_gpu = accelerator == "gpu"
    if deterministic and on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic, warn_only=on_gpu)
    # Filling every new tensor with NaN finds bugs of torch, and costs time on a GPU.
    torch.utils.deterministic.fill_uninitialized_memory = not on_gpu
