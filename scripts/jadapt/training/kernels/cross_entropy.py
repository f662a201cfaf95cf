"""Output layer and cross-entropy in one, chunk by chunk: the logits never exist as a whole.

With 150,000 entries the logits of a batch take more memory than the rest of a small model. The
gradients of a chunk are computed while its logits are there (Wijmans et al. 2024, "Cut Your Losses
in Large-Vocabulary Language Models", has the idea as a kernel; Liger's has the same order of work).
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
        """Return the loss, a float32 scalar; the gradients for `backward` are computed here.

        Args:
            context: of autograd.
            hidden: (N, width), what the output layer reads.
            weight: (vocabulary, width), of the output layer.
            labels: (N,) int64, -100 where nothing is scored.
            chunk: positions whose logits exist at once.
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
        # A tensor, so that nothing waits for the device; without labels the loss is 0. In float32
        # by name: the default type is bfloat16 within a step of bf16-true.
        share = (labels != IGNORED).sum().clamp(min=1).float().reciprocal()
        # A gradient of the logits divided by thousands of labels is less than float16 can hold, and
        # a loss scale comes with `backward` only: there it stays whole until then.
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
        """Scale the gradients by the one that comes from above (a loss scale, for instance)."""
        if context.gradients is None:
            raise RuntimeError("the chunked cross-entropy can be differentiated once only")
        # Scaled in place, as another copy would stand beside all activations.
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
    """Return a chunk's part of the loss, where each label counts ``share``; its logits become their
    gradient, in their precision."""
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
    """Return `_chunk`, or one kernel that does the same, where Triton has come with torch."""
    if device.type == "cuda" and find_spec("triton"):
        from jadapt.training.kernels import cross_entropy_kernel

        return partial(cross_entropy_kernel.chunk, ignored=IGNORED)
    return _chunk


def _accumulate(total: torch.Tensor, gradient: torch.Tensor, inputs: torch.Tensor) -> None:
    """Add a chunk's part of the weight's gradient."""
    if total.dtype == inputs.dtype:
        total.addmm_(gradient.T, inputs)
    elif inputs.dtype != torch.float16:
        total += gradient.T @ inputs
    # A sum over thousands of labels can exceed what float16 holds.
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
    """Return the mean loss in nats a label; see `LinearCrossEntropy` for the arguments."""
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
    """Within, ``model(...).logits`` is what the output layer reads; yields that layer.

    The model is called as always, so that hooks and wrappers of methods take part.

    Raises:
        UserError: the output layer has a bias or is not a plain one.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None:
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
