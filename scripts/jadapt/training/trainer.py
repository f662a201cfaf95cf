"""NeMo's trainer, configured for a run on one device or several."""

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
    """NeMo's trainer without the record of its constructor arguments.

    The record is a deep copy. The callbacks refer to the model, so from the second task on there
    would be a second copy of the model in memory."""

    def io_init(self, **arguments: Any) -> fiddle.Config:
        """Record nothing."""
        return fiddle.Config(type(self))


def trainer(settings: dict, callbacks: list) -> Trainer:
    """Build the trainer of one task.

    Raises:
        UserError: a step would not have ``global_batch_size`` rows.
    """
    accumulation = settings["global_batch_size"] // (
        settings["micro_batch_size"] * settings["devices"]
    )
    built = Trainer(
        accelerator=settings["accelerator"],
        devices=settings["devices"],
        strategy=strategy(settings),
        # `TrainingRows.loader` distributes the rows among the processes itself.
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
            # Keeps Lightning from detecting SLURM: it would expect one SLURM task per device, and
            # ignore the signal that announces a time limit.
            LightningEnvironment(),
            precision.plugin(settings["precision"], settings["accelerator"]),
        ],
        callbacks=callbacks,
    )
    check_batch(settings, ranks.count(), accumulation)
    return built


def strategy(settings: dict) -> str | Strategy:
    """Return Lightning's strategy for the devices of a run, or the name of one."""
    chosen = parallelism.kind(settings)
    if chosen is None:
        return "auto"
    if chosen == parallelism.FSDP2:
        return ShardedStrategy(settings["devices"])
    return AveragingStrategy()
