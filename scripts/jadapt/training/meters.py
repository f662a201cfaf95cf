"""The training log of a run: losses, learning rates, gradient norms, speed and memory."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from jadapt.core.files import atomic, read_log
from jadapt.training import async_scalars, tensorboard
from jadapt.training.async_scalars import Reading
from jadapt.training.distributed import ranks
from jadapt.training.kernels import cuda_graphs

MEBIBYTE = 2**20


class StepLog(Callback):
    """Writes one line of ``train.jsonl`` every ``interval`` steps.

    Losses are means over the steps since the previous line, in nats per token. ``training_seconds``
    counts time inside steps only, summed over all attempts of a run that was killed and resumed.
    """

    def __init__(self, path: Path, tokens_per_step: int, interval: int, task: str):
        self.path = path
        self.tokens_per_step = tokens_per_step
        self.interval = interval
        self.task = task
        self.losses: list[float] = []
        self.training_seconds = 0.0
        self.interval_seconds = 0.0
        self.last_loss = float("nan")
        self._started = 0.0
        # Losses of micro-batches that may still be being copied from the device.
        self._coming: list[Reading] = []
        self._accumulation = 1

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to write the same lines."""
        self._collect()
        # One process writes the checkpoint, and all resume from it: store the means over all.
        self.losses = ranks.mean(self.losses)
        return {
            "losses": list(self.losses),
            "training_seconds": self.training_seconds,
            "interval_seconds": self.interval_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.losses = list(state["losses"])
        self.training_seconds = state["training_seconds"]
        self.interval_seconds = state["interval_seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the log lines after the checkpoint that this attempt resumes from."""
        # A run that starts from the beginning measures its first line again.
        step = trainer.global_step
        kept = [line for line in read_log(self.path) if step and line["step"] <= step]
        if ranks.is_rank_zero():
            with atomic(self.path) as temporary:
                temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock of this micro-batch."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock; after an optimiser step, log if it is time."""
        self._accumulation = trainer.accumulate_grad_batches
        ended = (batch_idx + 1) % self._accumulation == 0
        step = trainer.global_step
        due = ended and (step % self.interval == 0 or step == trainer.max_steps)
        if due:
            # Wait for the device, so that the time measured covers the steps of this line.
            pl_module.settle()
        seconds = time.perf_counter() - self._started
        self.training_seconds += seconds
        self.interval_seconds += seconds
        self._coming.extend(pl_module.take_losses())
        if due:
            self._collect()
            self._write(trainer, pl_module)

    def _collect(self) -> None:
        """Average the losses of micro-batches per step."""
        values, self._coming = [reading.value() for reading in self._coming], []
        size = self._accumulation
        self.losses += [sum(values[i : i + size]) / size for i in range(0, len(values), size)]

    def _write(self, trainer: Trainer, module: Any) -> None:
        step, tokens = trainer.global_step, len(self.losses) * self.tokens_per_step
        loss = ranks.mean([sum(self.losses) / len(self.losses)])[0]
        if not math.isfinite(loss):
            raise async_scalars.diverged("the loss", loss, step)
        line = {
            "task": self.task,
            "step": step,
            "tokens": step * self.tokens_per_step,
            "training_loss": loss,
            "learning_rate": module.applied_learning_rate,
            "gradient_norm": module.gradient_norm,
            **module.measures(),
            "tokens_per_second": tokens / self.interval_seconds,
            "peak_memory_mib": ranks.largest(peak_memory_mib()),
        }
        append_line(self.path, line)
        self.last_loss = line["training_loss"]
        self.losses, self.interval_seconds = [], 0.0


class Validation(Callback):
    """Measures the loss on fixed validation rows at the start, every few steps and at the end."""

    def __init__(
        self, path: Path, interval: int, task: str, measure: Callable[[], dict[str, float]]
    ):
        self.path = path
        self.interval = interval
        self.task = task
        self.measure = measure

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the model before its first step."""
        if trainer.global_step == 0:
            self._write(0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure after every ``interval``-th optimiser step, and after the last."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        step = trainer.global_step
        if step % self.interval == 0 or step == trainer.max_steps:
            self._write(step)

    def _write(self, step: int) -> None:
        append_line(self.path, {"task": self.task, "step": step, **self.measure()})


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one JSON line and hand it to the system, so that a killed run loses none; of several
    processes the first one does."""
    if not ranks.is_rank_zero():
        return
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    tensorboard.mirror(path, line)


def reset_peak_memory() -> None:
    """Start measuring `peak_memory_mib` from now on, where possible (Linux, CUDA)."""
    if torch.cuda.is_available():
        cuda_graphs.reset_peak()
    try:
        # Linux, proc(5): writing 5 sets the peak resident size to the present one.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        print("the peak memory is that of the whole process so far", file=sys.stderr)


def peak_memory_mib() -> float:
    """Return the peak memory of this process in MiB: on the GPU if there is one, else resident."""
    if torch.cuda.is_available():
        return cuda_graphs.peak_bytes() / MEBIBYTE
    status = Path("/proc/self/status")
    if status.exists():
        # In KiB. Unlike getrusage's, this peak can be reset.
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if peak:
            return int(peak[1]) / 1024
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEBIBYTE
