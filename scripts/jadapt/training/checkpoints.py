"""Checkpoints that are whole or absent, and how a killed run finds its place again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from jadapt.files import atomic

_NAME = re.compile(r"step=(\d+)\.ckpt")


class AtomicCheckpointIO(CheckpointIO):
    """Writes each checkpoint to a temporary name, syncs and renames it; reads tensors only."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``."""
        # NeMo's constructor arguments hold functions, which a tensors-only reader must refuse.
        content = {key: value for key, value in checkpoint.items() if "hyper_parameters" not in key}
        with atomic(path) as temporary:
            torch.save(content, temporary)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, **unused: Any
    ) -> dict[str, Any]:
        """Read a checkpoint; nothing in it is executed."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint that a newer one has replaced."""
        Path(path).unlink(missing_ok=True)


class PeriodicCheckpoint(Callback):
    """Saves every few steps and keeps the newest two: one to go on from, one in reserve."""

    def __init__(self, directory: Path, interval: int, kept: int = 2):
        self.directory = directory
        self.interval = interval
        self.kept = kept

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after a step when it is time; the end of a task saves its model instead."""
        step = trainer.global_step
        if (batch_idx + 1) % trainer.accumulate_grad_batches or step % self.interval:
            return
        if step == trainer.max_steps:
            return
        trainer.save_checkpoint(self.directory / file_name(step))
        for _, path in _all(self.directory)[: -self.kept]:
            trainer.strategy.remove_checkpoint(path)


def file_name(step: int) -> str:
    """Return the name of the checkpoint after ``step`` optimiser steps."""
    return f"step={step}.ckpt"


def step_of(path: Path) -> int:
    """Return the step that a checkpoint's name tells."""
    return int(_NAME.fullmatch(path.name).group(1))


def latest(directory: Path) -> Path | None:
    """Return the newest checkpoint in ``directory``, or None."""
    found = _all(directory)
    return found[-1][1] if found else None


def _all(directory: Path) -> list[tuple[int, Path]]:
    found = (path for path in directory.glob("step=*.ckpt") if _NAME.fullmatch(path.name))
    return sorted((step_of(path), path) for path in found)
