"""The quadratic penalty that L2 and EWC share: anchors, and value and gradient in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.autograd.function import once_differentiable

from jadapt.core.bucketing import divide
from jadapt.methods.strategy import Context

# Computed on at a time.
ENTRIES = 2**24

# What is kept of a finished task: "anchor" and, but for L2, "fisher", each by parameter name.
Term = dict[str, dict[str, torch.Tensor]]


def anchor(context: Context) -> dict[str, torch.Tensor]:
    """Return a float32 copy of what a penalty holds, at the current weights."""
    with torch.no_grad():
        return {
            name: tensor.detach().to(torch.float32, copy=True).contiguous()
            for name, tensor in weight_delta(context).items()
        }


def weight_delta(context: Context) -> dict[str, torch.Tensor]:
    """Return `Method.weight_delta` in the precision of the parameters; differentiable."""
    # Autocast would multiply low-rank factors in half precision, in the training step only: the
    # change of the weights would not be zero at its own anchor.
    with torch.autocast(next(context.model.parameters()).device.type, enabled=False):
        return context.method.weight_delta(context.model)


def on_devices_of(values: Mapping[str, torch.Tensor], term: Term) -> Term:
    """Move a term to where the model is; the trainer takes a model off its device between tasks."""
    return {
        part: {name: tensor.to(values[name].device) for name, tensor in tensors.items()}
        for part, tensors in term.items()
    }


class Quadratic(torch.autograd.Function):
    """strength / 2 * sum over terms and entries of F (theta - theta*)^2, with its gradient at once.

    It runs in each micro-batch: value and gradient share the differences, ``foreach`` launches a
    few kernels for many tensors together, and of these there are never so many at once that what is
    computed on the way takes as much memory as the model.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        strength: float,
        terms: Sequence[dict[str, list[torch.Tensor]]],
        *values: torch.Tensor,
    ) -> torch.Tensor:
        """Return the penalty; each term lists anchors and Fishers (absent: ones) as the values."""
        gradients: list[torch.Tensor] = []
        sums: list[list[torch.Tensor]] = [[] for _ in terms]
        sizes = [value.numel() for value in values]
        for part in divide(range(len(values)), sizes, ENTRIES):
            single = [values[i].float() for i in part]
            found: list[torch.Tensor] | None = None
            for term, own_sums in zip(terms, sums, strict=True):
                difference = torch._foreach_sub(single, [term["anchor"][i] for i in part])
                if "fisher" in term:
                    weighted = torch._foreach_mul(difference, [term["fisher"][i] for i in part])
                else:
                    weighted = [tensor.clone() for tensor in difference]
                torch._foreach_mul_(difference, weighted)
                own_sums += [tensor.sum() for tensor in difference]
                if found is None:
                    found = weighted
                else:
                    torch._foreach_add_(found, weighted)
            torch._foreach_mul_(found, strength)
            gradients += [g.to(values[i].dtype) for g, i in zip(found, part, strict=True)]
        ctx.gradients = gradients
        return sum(torch.stack(own_sums).sum() for own_sums in sums) * (strength / 2)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, outer: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of the values, times that of the penalty."""
        if ctx.gradients is None:
            raise RuntimeError("the penalty can be differentiated once only")
        # Scaled in place, as another copy would stand beside the model.
        gradients, ctx.gradients = ctx.gradients, None
        torch._foreach_mul_(gradients, outer)
        return None, None, *gradients
