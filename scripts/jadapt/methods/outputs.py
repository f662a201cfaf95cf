"""What the forward pass of a micro-batch computed, for strategies that add a loss of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Outputs:
    """The model's outputs for a micro-batch of N = rows x T positions, differentiable.

    Attributes:
        values: what the output layer puts out, the logits (N, vocabulary), or, where ``embedding``
            is given, what it reads, the hidden states (N, width).
        embedding: the output embedding (vocabulary, width), where the loss never holds all logits
            at once (``fast.cross_entropy_chunk``); otherwise None.
        chunk: positions whose logits may exist at once there; 0: all.
    """

    values: torch.Tensor
    embedding: torch.Tensor | None = None
    chunk: int = 0

    @classmethod
    def of(cls, model: PreTrainedModel, values: torch.Tensor, chunk: int) -> Outputs:
        """Return the outputs of a model whose loss takes ``chunk`` positions at once (0: all)."""
        return cls(values, model.get_output_embeddings().weight if chunk else None, chunk)

    def total(self, loss_of: Callable[..., torch.Tensor], *aligned: torch.Tensor) -> torch.Tensor:
        """Return the sum of ``loss_of(logits, *aligned)`` over all positions, differentiable.

        Where not all logits may exist at once it goes from chunk to chunk and computes each again
        for the backward pass, so that the memory is that of one.

        Args:
            loss_of: returns a sum over the positions that it is given, as a scalar.
            aligned: further values of each position, of shape (N, ...), cut like the logits.
        """
        if self.embedding is None:
            return loss_of(self.values, *aligned)
        from torch.utils.checkpoint import checkpoint

        def of_chunk(hidden: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
            return loss_of(hidden @ self.embedding.T, *parts)

        sums = [
            checkpoint(of_chunk, *parts, use_reentrant=False)
            for parts in zip(
                *(tensor.split(self.chunk or len(tensor)) for tensor in (self.values, *aligned)),
                strict=True,
            )
        ]
        return sum(sums[1:], start=sums[0])
