"""Callback that informs the method of each optimiser step, before any other callback runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, Trainer

from jadapt.methods.base import Method


class MethodSteps(Callback):
    """Calls `Method.after_step`; ``validation_loss`` returns the task's loss in nats per token."""

    def __init__(self, method: Method, validation_loss: Callable[[], float]):
        self.method = method
        self.validation_loss = validation_loss

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Call the method after the last micro-batch of a step."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self.method.after_step(
            pl_module.model,
            trainer.global_step,
            trainer.max_steps,
            pl_module.applied_learning_rate,
            self.validation_loss,
        )
