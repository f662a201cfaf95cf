"""Atomic checkpoints, and how a killed run finds the newest sound one.

A checkpoint holds the state within a task: the trained parameters (and the growth of a method that
adds units), optimiser, schedule, loss scaler, the states of all random generators, the step (which
determines the position in the data) and the running sums of the log. The state that strategies keep
about finished tasks is stored in the folders of those tasks.
"""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path
from pickle import UnpicklingError  # what torch raises; nothing here unpickles
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from jadapt.core import checksums
from jadapt.core.errors import UserError
from jadapt.core.files import free_space

_NAME = re.compile(r"step=(\d+)\.ckpt")


class SealedCheckpointIO(CheckpointIO):
    """Writes a checkpoint under a temporary name with its checksum, syncs it and renames it."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            UserError: it cannot be written, usually because the disk is full.
        """
        # NeMo's constructor arguments contain functions, which torch.load refuses (weights_only).
        content = {key: value for key, value in checkpoint.items() if "hyper_parameters" not in key}
        try:
            with checksums.sealed(path) as temporary:
                torch.save(content, temporary)
        except (OSError, RuntimeError) as error:
            # torch raises a plain RuntimeError when a write fails.
            raise UserError(
                f"{path}: cannot be written ({free_space(Path(path).parent)}); free some and run "
                "the same command again: it goes on from the checkpoint before"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, **unused: Any
    ) -> dict[str, Any]:
        """Read a checkpoint; nothing in it is executed.

        Raises:
            UserError: it contains other objects than tensors and numbers, so it is not ours.
        """
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except UnpicklingError as error:
            raise UserError(
                f"{path}: holds other things than tensors and numbers, refused; delete it and run "
                "the same command again"
            ) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint that a newer one has replaced."""
        checksums.remove(Path(path))


class PeriodicCheckpoint(Callback):
    """Saves every ``interval`` steps and keeps the newest two: one to use, one in reserve."""

    def __init__(self, directory: Path, interval: int, kept: int = 2):
        self.directory = directory
        self.interval = interval
        self.kept = kept

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after every ``interval``-th step but the last, after which the model is saved."""
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
    """Return the optimiser step in the name of a checkpoint.

    Raises:
        ValueError: it is not the name of a checkpoint.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise ValueError(f"{path}: not the name of a checkpoint")
    return int(name[1])


def usable(directory: Path) -> Path | None:
    """Return the newest checkpoint in ``directory`` that is as it was written, or None.

    The newest is that of the highest step, since clocks may go back. Damaged checkpoints are
    removed with one line on stderr each; half-written files of a killed attempt are removed too.
    """
    for leftover in directory.glob(".*.part"):
        leftover.unlink()
    found = _all(directory)
    while found:
        _, path = found.pop()
        reason = checksums.fault(path)
        if reason is None:
            return path
        checksums.remove(path)
        instead = f"going on from {found[-1][1].name}" if found else "starting from the beginning"
        print(f"{path}: {reason}; removed, {instead}", file=sys.stderr, flush=True)
    return None


def count_batch(checkpoint: dict[str, Any]) -> None:
    """Mark the micro-batch after which a checkpoint is written as completed.

    Lightning does this only after its callbacks have run, one of which writes the checkpoint.
    Without this correction a resumed run would count one micro-batch too few, and all of its
    optimiser steps would be made of other rows.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    for counts in (progress["current"], progress["total"]):
        counts["completed"] = counts["processed"]


def random_states() -> dict[str, Any]:
    """Return the states of the generators of torch (every device), numpy and Python."""
    state: Any = np.random.get_state()
    kind, keys, *rest = state
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        # As tensors and numbers, because only these can be loaded again.
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
        "python": [version, list(internal), gauss],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Restore the states that `random_states` returned."""
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))


def _all(directory: Path) -> list[tuple[int, Path]]:
    found = (path for path in directory.glob("step=*.ckpt") if _NAME.fullmatch(path.name))
    return sorted((step_of(path), path) for path in found)
