"""AdamW with a linear warm-up and a cosine decay, as NeMo's optimiser module."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from nemo import lightning as nl
from nemo.core.optim.lr_scheduler import CosineAnnealing
from nemo.lightning.pytorch.optim import CosineAnnealingScheduler
from torch.optim import Optimizer

from jadapt.training.kernels import Fast

FACTOR = "rate_factor"


class FactoredCosine(CosineAnnealing):
    """The cosine schedule, times a factor of each group's own; its minimum too."""

    def get_lr(self) -> list[float]:
        """Return the learning rate of each group."""
        groups = self.optimizer.param_groups
        return [rate * g[FACTOR] for rate, g in zip(super().get_lr(), groups, strict=True)]


class FactoredScheduler(CosineAnnealingScheduler):
    """NeMo's scheduler module, where groups may have a factor."""

    def scheduler(self, model: torch.nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """Return what Lightning takes for a schedule that moves on at every step."""
        if FACTOR not in optimizer.param_groups[0]:
            return super().scheduler(model, optimizer)
        made = FactoredCosine(
            optimizer,
            max_steps=self.max_steps,
            warmup_steps=self.warmup_steps,
            constant_steps=self.constant_steps,
            min_lr=self.min_lr,
        )
        moves = {"scheduler": made, "interval": self.interval, "frequency": self.frequency}
        return {"optimizer": optimizer, "lr_scheduler": moves, "monitor": self.monitor}


class OptimiserModule(nl.pytorch.optim.PytorchOptimizerModule):
    """NeMo's optimiser module; a method's parameters may train at a multiple of the rate."""

    def optimizers(self, model: Any) -> list[Any]:
        """Return the optimiser with its schedule for ``model``, an `AdaptationModule`."""
        factors = model.method.learning_rate_factors(model.model)
        if not factors:
            return super().optimizers(model)
        decay = self.optimizer_fn.keywords["weight_decay"]
        # The first group is the one whose rate the log shows.
        found: dict[tuple[float, float], list[torch.nn.Parameter]] = {(1.0, decay): []}
        for name, parameter in model.model.named_parameters():
            if parameter.requires_grad:
                own = 0.0 if self.no_weight_decay_cond(name, parameter) else decay
                found.setdefault((factors.get(name, 1.0), own), []).append(parameter)
        groups = [
            {"params": parameters, "weight_decay": own, FACTOR: factor}
            for (factor, own), parameters in found.items()
        ]
        optimiser = self._optimizers = self.optimizer_fn(groups)
        return [self.lr_scheduler.scheduler(model, optimiser)]


def optimiser_module(settings: dict) -> OptimiserModule:
    """Build the optimiser of one task.

    The rate rises linearly over ``warmup_steps``, then falls along half a cosine to
    ``minimum_learning_rate_ratio`` of its peak at ``steps``. Matrices decay by ``weight_decay``,
    vectors (norm gains, biases) do not.
    """
    rate = settings["learning_rate"]
    schedule = FactoredScheduler(
        max_steps=settings["steps"],
        warmup_steps=settings["warmup_steps"],
        constant_steps=0,
        min_lr=rate * settings["minimum_learning_rate_ratio"],
    )
    return OptimiserModule(
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
