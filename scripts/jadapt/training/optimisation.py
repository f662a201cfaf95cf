"""AdamW with a linear warm-up and a cosine decay, as NeMo's optimiser module."""

from __future__ import annotations

from functools import partial

import torch
from nemo import lightning as nl
from nemo.lightning.pytorch.optim import CosineAnnealingScheduler

from jadapt.training.kernels import Fast


def optimiser_module(settings: dict) -> nl.pytorch.optim.PytorchOptimizerModule:
    """Build the optimiser of one task.

    The rate rises linearly over ``warmup_steps``, then falls along half a cosine to
    ``minimum_learning_rate_ratio`` of its peak at ``steps``. Matrices decay by ``weight_decay``,
    vectors (norm gains, biases) do not.
    """
    rate = settings["learning_rate"]
    schedule = CosineAnnealingScheduler(
        max_steps=settings["steps"],
        warmup_steps=settings["warmup_steps"],
        constant_steps=0,
        min_lr=rate * settings["minimum_learning_rate_ratio"],
    )
    return nl.pytorch.optim.PytorchOptimizerModule(
        partial(
            torch.optim.AdamW,
            lr=rate,
            betas=(settings["beta1"], settings["beta2"]),
            weight_decay=settings["weight_decay"],
            # None lets torch choose.
            fused=Fast.of(settings).fused_optimiser or None,
        ),
        lr_scheduler=schedule,
        no_weight_decay_cond=lambda name, parameter: parameter.ndim < 2,
    )
