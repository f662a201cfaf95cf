"""Data parallel: every device holds the whole model, and gradients are averaged once a step.

Lightning's `DDPStrategy` is the base, without torch's `DistributedDataParallel` around the model.
That sends gradients while others are still computed, for which a hook is called for each parameter;
with the many small ones of adapters the hooks take longer than all messages (LoRA on SmolLM2-135M:
1.26 times the speed of one GPU on two), and a recorded backward pass calls none. The gradients of
a model of this size cross NVLink in a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed, nn

from jadapt.core.bucketing import divide

# Gradients of this many bytes are sent as one message.
MESSAGE = 2**28


class AveragingOnce:
    """Of a strategy that averages gradients when those of a step's micro-batches are complete."""

    _more_to_come = False

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Within, further micro-batches of the step are to come."""
        self._more_to_come = True
        try:
            yield
        finally:
            self._more_to_come = False

    def average_complete(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients of parameters, unless more is to be added to them."""
        if not self._more_to_come:
            average(p.grad for p in parameters if p.grad is not None)


class AveragingStrategy(AveragingOnce, DDPStrategy):
    """Lightning's data parallel strategy with one average of the gradients a step."""

    def configure_ddp(self) -> None:
        """Begin with the weights of the first process, in all of them."""
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            # Some are parts of a matrix, which a message cannot be received into.
            values = tensor.detach().contiguous()
            distributed.broadcast(values, src=0)
            tensor.detach().copy_(values)

    def post_backward(self, closure_loss: torch.Tensor) -> None:
        """Average the gradients when those of a step are complete."""
        self.average_complete(self.model.parameters())


def average(tensors: Iterable[torch.Tensor]) -> None:
    """Replace tensors by their means over the processes, which have the same ones in one order."""
    tensors = list(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        same = [tensor for tensor in tensors if tensor.dtype == dtype]
        for message in divide(same, [tensor.nbytes for tensor in same], MESSAGE):
            _average_at_once(message)


def _average_at_once(tensors: list[torch.Tensor]) -> None:
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    flat.div_(distributed.get_world_size())
    parts = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(
        tensors, [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]
    )
