"""Numbers of a step that are read when they are there, so that the device need not wait."""

from __future__ import annotations

import torch


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

    @property
    def there(self) -> bool:
        """Whether reading it now waits for nothing."""
        return self._event is None or self._event.query()

    def value(self) -> float:
        """Return the number; waits until the device has computed it."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._host)
