"""NeMo's trainer as a run needs it, on one device or on several."""

from __future__ import annotations

import sys
from typing import Any

import fiddle
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import Strategy
from nemo import lightning as nl

from jadapt.config import parallelism
from jadapt.training import checkpoints, precision
from jadapt.training.distributed import ranks
from jadapt.training.distributed.averaging import AveragingStrategy
from jadapt.training.distributed.devices import check_batch
from jadapt.training.distributed.sharding import ShardedStrategy


class Trainer(nl.Trainer):
    """NeMo's, without its record of how it was made: that is a deep copy of the arguments, and the
    callbacks lead to the model, which would be there twice from the second task on."""

    def io_init(self, **arguments: Any) -> fiddle.Config:
        """Record nothing."""
        return fiddle.Config(type(self))


def trainer(settings: dict, callbacks: list) -> Trainer:
    """Build the trainer of one task.

    Raises:
        UserError: it would take other rows a step than the study's ``global_batch_size``.
    """
    accumulation = settings["global_batch_size"] // (
        settings["micro_batch_size"] * settings["devices"]
    )
    built = Trainer(
        accelerator=settings["accelerator"],
        devices=settings["devices"],
        strategy=strategy(settings),
        # The sampler of the rows deals them to the processes; see `TrainingRows.loader`.
        use_distributed_sampler=False,
        max_steps=settings["steps"],
        accumulate_grad_batches=accumulation,
        gradient_clip_val=settings["gradient_clip"],
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        plugins=[
            checkpoints.SealedCheckpointIO(),
            # Not Lightning's own reading of SLURM's variables, which wants a task a device and
            # ignores the signal that a time limit is announced with.
            LightningEnvironment(),
            precision.plugin(settings["precision"], settings["accelerator"]),
        ],
        callbacks=callbacks,
    )
    check_batch(settings, ranks.count(), accumulation)
    return built


def strategy(settings: dict) -> str | Strategy:
    """Return Lightning's strategy for the devices of a run, or its name for it."""
    chosen = parallelism.kind(settings)
    if chosen is None:
        return "auto"
    if chosen == parallelism.FSDP2:
        return ShardedStrategy(settings["devices"])
    return AveragingStrategy()
