"""Numbers of a step that are read when they are there, so that the device need not wait."""

from __future__ import annotations

import math

import torch

from jadapt.core.errors import UserError
from jadapt.training.distributed import ranks


class Diverged(UserError):
    """The loss or the gradient is not a number any more."""


class Reading:
    """A scalar on its way from the device to the host.

    Asking a tensor on a GPU for its value waits for everything that the GPU was given before;
    meanwhile it is given nothing. This asks for a copy and waits for that alone, when it is read.
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
        """Return the number; waits until the device has computed it."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._host)


def diverged(what: str, value: float, step: int) -> Diverged:
    """Return the error that says which number of which step is none."""
    return Diverged(
        f"training diverged: {what} is {value} at step {step}; lower the learning rate. The last "
        "checkpoint is from before"
    )


class Readings:
    """The losses and gradient norms of a run, looked at when the device has newer work.

    ``gradient_norm`` is the newest that was looked at; ``skipped_steps`` counts the norms that were
    not finite where a loss scaler skips such steps.
    """

    def __init__(self) -> None:
        self.gradient_norm = math.nan
        self.skipped_steps = 0
        self._losses: list[Reading] = []
        self._unread: list[tuple[str, int, Reading]] = []

    def loss(self, scalar: torch.Tensor, step: int) -> None:
        """Note the loss of a micro-batch of the step under way, in nats a token."""
        self._losses.append(self._note("the loss", scalar, step))

    def norm(self, scalar: torch.Tensor, step: int) -> None:
        """Note the norm of the gradient of the step under way."""
        self._note("the gradient's norm", scalar, step)

    def _note(self, what: str, scalar: torch.Tensor, step: int) -> Reading:
        reading = Reading(scalar)
        self._unread.append((what, step, reading))
        return reading

    def settle(self, scaled: bool) -> None:
        """Look at all numbers noted so far, and wait for those that are not there yet.

        Args:
            scaled: whether a loss scaler deals with gradients that are not finite.

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
                # None of several processes may stop alone; the norm, or the log, tells all of them.
                continue
            if not (is_norm and scaled):
                raise diverged(what, value, step)
            self.skipped_steps += 1

    def take_losses(self) -> list[Reading]:
        """Return the losses of the micro-batches since the last call."""
        losses, self._losses = self._losses, []
        return losses
