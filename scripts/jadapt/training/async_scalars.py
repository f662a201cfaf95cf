"""Scalars copied from the device asynchronously, so that reading them does not stall training."""

from __future__ import annotations

import math

import torch

from jadapt.core.errors import UserError
from jadapt.training.distributed import ranks


class Diverged(UserError):
    """The loss or the gradient has become infinite or NaN."""


class Reading:
    """A scalar that is being copied from the device to the host.

    Reading the value of a GPU tensor waits for all work queued before, and no new work is queued
    meanwhile. This class starts an asynchronous copy, and waits only for that copy, when read.
    """

    def __init__(self, scalar: torch.Tensor):
        scalar = scalar.detach()
        self._event = None
        self._host = scalar
        if scalar.is_cuda:
            self._host = torch.empty((), dtype=scalar.dtype, pin_memory=True)
            self._host.copy_(scalar, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def value(self) -> float:
        """Return the number, after waiting until the device has computed it."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._host)


def diverged(what: str, value: float, step: int) -> Diverged:
    """Return the error that names the value that is not finite, and its step."""
    return Diverged(
        f"training diverged: {what} is {value} at step {step}; lower the learning rate. The last "
        "checkpoint is from before"
    )


class Readings:
    """The losses and gradient norms of a run, read once the device has been given further work.

    Attributes:
        gradient_norm: the newest norm that was read.
        skipped_steps: number of norms that were not finite in a run whose loss scaler skips such
            steps.
    """

    def __init__(self) -> None:
        self.gradient_norm = math.nan
        self.skipped_steps = 0
        self._losses: list[Reading] = []
        self._unread: list[tuple[str, int, Reading]] = []

    def loss(self, scalar: torch.Tensor, step: int) -> None:
        """Record the loss of a micro-batch of the current step, in nats per token."""
        self._losses.append(self._note("the loss", scalar, step))

    def norm(self, scalar: torch.Tensor, step: int) -> None:
        """Record the gradient norm of the current step."""
        self._note("the gradient's norm", scalar, step)

    def _note(self, what: str, scalar: torch.Tensor, step: int) -> Reading:
        reading = Reading(scalar)
        self._unread.append((what, step, reading))
        return reading

    def settle(self, scaled: bool) -> None:
        """Read all values recorded so far, waiting for those still being copied.

        Args:
            scaled: whether a loss scaler handles gradients that are not finite.

        Raises:
            Diverged: a loss is not finite, or, unless ``scaled``, a norm.
        """
        unread, self._unread = self._unread, []
        for what, step, reading in unread:
            value = reading.value()
            is_norm = what != "the loss"
            if is_norm:
                self.gradient_norm = value
            if math.isfinite(value):
                continue
            if not is_norm and ranks.count() > 1:
                # One process must not stop alone. All of them see the gradient norm, which then is
                # not finite either, and the mean loss in the log.
                continue
            if not (is_norm and scaled):
                raise diverged(what, value, step)
            self.skipped_steps += 1

    def take_losses(self) -> list[Reading]:
        """Return the losses of the micro-batches since the last call."""
        losses, self._losses = self._losses, []
        return losses
