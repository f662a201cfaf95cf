"""A run of a study whose steps are timed in windows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback

from jadapt.training.distributed import ranks
from jadapt.training.meters import peak_memory_mib, reset_peak_memory
from jadapt.training.run import Places, Run

__all__ = ["ClockedRun", "Places", "Windows"]


class Windows(Callback):
    """Times the steps after a warm-up in windows of equal size."""

    def __init__(self, warmup: int, steps: int, windows: int):
        self.warmup = warmup
        self.size = max(1, steps // windows)
        self.started = time.perf_counter()
        self.warmup_seconds = 0.0
        self.seconds: list[float] = []
        self.peak_mib = 0.0
        self.trainable = 0

    def speeds(self, tokens_per_step: int) -> list[float]:
        """Return the tokens a second of each window, all devices together."""
        return [self.size * tokens_per_step / seconds for seconds in self.seconds]

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time at the ends of windows, when the device has done what it was given."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        timed = trainer.global_step - self.warmup
        if timed < 0 or timed % self.size:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if timed == 0:
            self.warmup_seconds = now - self.started
            reset_peak_memory()
        else:
            self.seconds.append(now - self.started)
            self.peak_mib = ranks.largest(peak_memory_mib())
        self.started = time.perf_counter()


class ClockedRun(Run):
    """A run of a study with a clock among its callbacks."""

    clock: Callback

    def _trainer(self, settings: dict, callbacks: list) -> Any:
        # First, so that it stops before the last step is followed by a validation.
        return super()._trainer(settings, [self.clock, *callbacks])

    def _keep(self, folder: Path, report: dict) -> None:
        """Write no model: nobody reads it, and it takes longer than the steps."""
