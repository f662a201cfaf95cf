"""Fused linear layers: several layers with the same input as one differentiable matrix product.

The weights of the layers are stacked into one matrix, (sum of outputs, inputs). With LoRA,
x W' + (x A') B' equals [x, x A'] [W, B]', so the low-rank update needs no extra pass over the
outputs, and one product in the backward pass yields the gradients of both x and x A'.

In the backward pass, the output gradients of narrow layers (keys and values) are concatenated,
because a matrix product with few columns uses the hardware badly. For wide layers the copy would
cost more than it saves, so each gets a product of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


@torch.library.custom_op("jadapt::side_by_side", mutates_args=())
def side_by_side(parts: list[torch.Tensor]) -> torch.Tensor:
    """Concatenate parts of shape (N, width) to (N, sum of widths).

    This is a custom operator so that torch.compile does not fuse the concatenation with the
    computation of its parts: the fused kernel tests for every element which part it belongs to,
    and is slower (0.98 ms for 98,304 x 1,152 on an H200).
    """
    return torch.cat(parts, dim=1)


side_by_side.register_fake(lambda parts: torch.cat(parts, dim=1))


def narrow(sizes: tuple[int, ...], inputs: int) -> bool:
    """Tell whether any of several layers has fewer outputs than inputs (its product is slow)."""
    return len(sizes) > 1 and min(sizes) < inputs


def _apart(outputs: torch.Tensor, sizes: tuple[int, ...], inputs: int) -> tuple:
    """Split the fused outputs, (N, sum of sizes), into those of each layer."""
    *others, last = outputs.split(sizes, dim=1)
    # Attention saves the values for the backward pass. A view would keep the storage of queries and
    # keys alive with them; a copy does not.
    return *others, last.clone() if narrow(sizes, inputs) else last


def _pairs(
    upstream: tuple[torch.Tensor, ...], matrix: torch.Tensor, sizes: tuple[int, ...], inputs: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pair the gradients of outputs, (N, outputs), with the rows of the matrix they belong to."""
    if narrow(sizes, inputs):
        return [(side_by_side(list(upstream)), matrix)]
    return list(zip(upstream, matrix.split(sizes), strict=True))


def _of_input(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Return the gradient of the left factor of the product."""
    first, *others = (gradient @ rows for gradient, rows in pairs)
    return sum(others, first)


class Plain(torch.autograd.Function):
    """x W' + b for several layers, whose weights and biases are stacked in W and b."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        matrix: torch.Tensor,
        bias: torch.Tensor | None,
        sizes: tuple[int, ...],
        *trained: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return (N, outputs) of every layer.

        Args:
            context: autograd's context.
            x: (N, inputs).
            matrix: (sum of outputs, inputs).
            bias: (sum of outputs,) or None.
            sizes: number of outputs of each layer.
            trained: the weights of the layers, then their biases: the tensors that receive the
                gradients. Empty where the weights are frozen; layers that train must be `narrow`.
        """
        context.save_for_backward(matrix, *([x] if trained else []))
        context.sizes, context.trained = sizes, len(trained)
        return _apart(functional.linear(x, matrix, bias), sizes, x.shape[1])

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple:
        """Return the gradients of x and of the trained tensors."""
        matrix, *inputs = context.saved_tensors
        pairs = _pairs(upstream, matrix, context.sizes, matrix.shape[1])
        parts: list[torch.Tensor] = []
        if context.trained:
            ((gradient, _),) = pairs
            parts += (gradient.T @ inputs[0]).split(context.sizes)
            if context.trained > len(context.sizes):
                parts += gradient.sum(0).split(context.sizes)
        return _of_input(pairs), None, None, None, *parts


class Extended(torch.autograd.Function):
    """x W' + b + (x A') B', computed as [x, x A'] [W, B]' + b, for several layers as in `Plain`."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        matrix: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        scale: float,
        sizes: tuple[int, ...],
        *factors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return (N, outputs) of every layer.

        Args:
            context: autograd's context.
            x: (N, inputs).
            matrix: [W, B], (sum of outputs, inputs + K). B is multiplied by ``scale`` and is block
                diagonal, with one block per layer; K is padded to a multiple of 16.
            bias: (sum of outputs,) or None.
            down: the A matrices of the layers, stacked: (K, inputs).
            scale: alpha / r.
            sizes: number of outputs of each layer.
            factors: A of every layer, (r, inputs), then B of every layer, (outputs, r): the
                tensors that receive the gradients, in that order.
        """
        low = x @ down.T
        context.save_for_backward(x, low, matrix, down)
        context.scale, context.rank, context.sizes = scale, factors[0].shape[0], sizes
        outputs = functional.linear(torch.cat([x, low], dim=-1), matrix, bias)
        return _apart(outputs, sizes, x.shape[1])

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple:
        """Return the gradients of x and of the low-rank factors."""
        x, low, matrix, down = context.saved_tensors
        rank, sizes, inputs = context.rank, context.sizes, x.shape[1]
        pairs = _pairs(upstream, matrix, sizes, inputs)
        both = _of_input(pairs)
        of_low = both[:, inputs:]
        of_x = both[:, :inputs] + of_low @ down
        downs = list((of_low.T @ x)[: rank * len(sizes)].split(rank))
        ranks = [slice(i * rank, (i + 1) * rank) for i in range(len(sizes))]
        if narrow(sizes, inputs):
            ((gradient, _),) = pairs
            blocks = ((gradient.T @ low) * context.scale).split(sizes)
            ups = [block[:, own] for block, own in zip(blocks, ranks, strict=True)]
        else:
            ups = [
                (gradient.T @ low[:, own]) * context.scale
                for (gradient, _), own in zip(pairs, ranks, strict=True)
            ]
        return of_x, *[None] * 5, *downs, *ups
