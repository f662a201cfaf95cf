"""Output layer and cross-entropy in one function, in chunks: the full logits never exist.

With a vocabulary of 150,000 the logits of a batch take more memory than the rest of a small model.
The gradients of a chunk are computed while its logits are in memory (Wijmans et al. 2024, "Cut Your
Losses in Large-Vocabulary Language Models", do this in one kernel; Liger Kernel works in the same
order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from jadapt.core.errors import UserError

IGNORED = -100


class LinearCrossEntropy(torch.autograd.Function):
    """Mean over the labels of -log softmax(hidden @ weight.T)[label]."""

    @staticmethod
    def forward(
        context: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        """Return the loss, a float32 scalar. The gradients are computed here, not in `backward`.

        Args:
            context: autograd's context.
            hidden: (N, width), the input of the output layer.
            weight: (vocabulary, width), the weight of the output layer.
            labels: (N,) int64, -100 where nothing is scored.
            chunk: number of positions whose logits exist at the same time.
        """
        in_chunk = _in_chunk(hidden.device)
        kind = hidden.device.type
        autocast = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if autocast else hidden.dtype
        inputs, matrix = hidden.to(dtype), weight.to(dtype)
        wanted = context.needs_input_grad
        hidden_gradient = torch.empty_like(inputs) if wanted[0] else None
        weight_gradient = torch.zeros_like(weight) if wanted[1] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        # A tensor and not a Python number, so that the host need not wait for the device. The clamp
        # makes the loss 0 where there are no labels. Explicitly float32, because the default type
        # is bfloat16 within a step of bf16-true.
        share = (labels != IGNORED).sum().clamp(min=1).float().reciprocal()
        # Divided by thousands of labels, gradients of logits underflow in float16. The loss scale
        # that would prevent this arrives only in `backward`, so with float16 the division is
        # postponed until then.
        unit = torch.ones_like(share) if dtype == torch.float16 else share
        rest = share / unit
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(labels), chunk):
                part = slice(start, start + chunk)
                loss, gradient = in_chunk(inputs[part] @ matrix.T, labels[part], unit)
                total += loss
                if hidden_gradient is not None:
                    torch.mm(gradient, matrix, out=hidden_gradient[part])
                if weight_gradient is not None:
                    _accumulate(weight_gradient, gradient, inputs[part])
                del gradient
        context.gradients = (hidden_gradient, weight_gradient)
        context.dtype = hidden.dtype
        context.rest = rest
        return total * rest

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple:
        """Multiply the stored gradients by the upstream one (which carries the loss scale)."""
        if context.gradients is None:
            raise RuntimeError("the chunked cross-entropy can be differentiated once only")
        # In place: a copy would exist at the same time as all activations.
        (hidden, weight), context.gradients = context.gradients, None
        factor = upstream[0] * context.rest
        return (
            None if hidden is None else hidden.mul_(factor).to(context.dtype),
            None if weight is None else weight.mul_(factor),
            None,
            None,
        )


def _chunk(
    logits: torch.Tensor, labels: torch.Tensor, share: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a chunk's contribution to the loss, in which each label has the weight ``share``.

    The logits are overwritten by their gradient, in their own precision."""
    scored = labels != IGNORED
    targets = labels.clamp(min=0)[:, None]
    exact = logits.float()
    normaliser = exact.logsumexp(dim=-1, keepdim=True)
    loss = ((normaliser - exact.gather(1, targets))[:, 0] * scored).sum() * share
    entries = torch.arange(logits.shape[-1], device=logits.device)
    gradient = (exact - normaliser).exp() - (entries == targets).float()
    logits.copy_(gradient * (scored * share)[:, None])
    return loss, logits


def _in_chunk(device: torch.device) -> Callable:
    """Return `_chunk`, or the Triton kernel that computes the same, where Triton is installed."""
    if device.type == "cuda" and find_spec("triton"):
        from jadapt.training.kernels import cross_entropy_kernel

        return partial(cross_entropy_kernel.chunk, ignored=IGNORED)
    return _chunk


def _accumulate(total: torch.Tensor, gradient: torch.Tensor, inputs: torch.Tensor) -> None:
    """Add a chunk's contribution to the gradient of the weight."""
    if total.dtype == inputs.dtype:
        total.addmm_(gradient.T, inputs)
    elif inputs.dtype != torch.float16:
        total += gradient.T @ inputs
    # A sum over thousands of labels can overflow in float16.
    elif inputs.is_cuda:
        total += torch.mm(gradient.T, inputs, out_dtype=torch.float32)
    else:
        total += gradient.T.float() @ inputs.float()


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    chunk: int,
) -> torch.Tensor:
    """Return the mean loss in nats per label; see `LinearCrossEntropy` for the arguments."""
    return LinearCrossEntropy.apply(hidden, weight, labels, chunk)


def chunked_loss(
    module: Any,
    chunk: int,
    hidden: torch.Tensor,
    labels: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Take the place of NeMo's loss, which is given what its module's ``forward`` returns.

    Args:
        module: holds the ``model`` whose output layer is applied.
        chunk: positions whose logits exist at once.
        hidden: (N, width), what the output layer reads.
        labels: (N,) int64, -100 where nothing is scored.
        mask: 0 at labels that are not scored either; (N,), or of a shape with as many entries.
    """
    if mask is not None:
        labels = labels.masked_fill(mask.flatten() == 0, IGNORED)
    return linear_cross_entropy(hidden, module.model.get_output_embeddings().weight, labels, chunk)


@contextmanager
def headless(model: PreTrainedModel) -> Iterator[nn.Module]:
    """Within the block, ``model(...).logits`` is the input of the output layer; yields that layer.

    The model is still called as a whole, so that the hooks and wrappers of methods run.

    Raises:
        UserError: the output layer has a bias or is not a plain ``nn.Linear``.
    """
    head: Any = model.get_output_embeddings()
    plain = type(head) is nn.Linear and head.bias is None
    if not plain:
        raise UserError(
            "training.fast.cross_entropy_chunk: the output layer is not a plain matrix; set it to 0"
        )
    head.forward = _unchanged
    try:
        yield head
    finally:
        del head.forward


def _unchanged(hidden: torch.Tensor) -> torch.Tensor:
    return hidden
