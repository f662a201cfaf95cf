"""Causal attention within documents, without a mask.

Packed documents are usually kept apart by a mask, but SDPA's flash kernel takes none. transformers
builds the mask whenever it is given positions, unless the attention implementation is one that it
knows no mask function for; such an implementation is registered here. Rows that hold one document
each need nothing in place of the mask. For other rows, a kernel for sequences of different lengths
(`torch.nn.attention.varlen`) is given the document boundaries.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

IMPLEMENTATION = "jadapt_documents"

# Since torch 2.12, grouped-query attention must be requested; before, it was always allowed.
_GROUPED = "enable_gqa" in inspect.signature(varlen.varlen_attn).parameters


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    boundaries: torch.Tensor | None = None,
    **unused: object,
) -> tuple[torch.Tensor, None]:
    """Compute attention, with the signature that transformers expects.

    Args:
        module: the attention layer.
        query: (B, heads, T, head_dim), with rotary positions applied.
        key: (B, key_value_heads, T, head_dim), with rotary positions applied.
        value: the same shape as ``key``.
        attention_mask: must be None.
        dropout: of the attention weights; only applied to rows of one document.
        scaling: factor of the scores; None for 1 / sqrt(head_dim).
        boundaries: see `document_boundaries`; None where every row is one document.
        unused: further arguments that transformers passes.

    Returns:
        The outputs of the heads, (B, T, heads, head_dim), and None for the attention weights.
    """
    rows, heads, length, size = query.shape
    if attention_mask is not None or key.shape[2] != length:
        raise ValueError("attention over whole rows got a mask or keys from elsewhere")
    if boundaries is None:
        grouped = key.shape[1] != heads
        output = scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        return output.transpose(1, 2), None
    # Under autocast, queries and keys are float32 after the rotary positions. Autocast casts the
    # arguments of SDPA, but not those of this kernel.
    kind = query.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else query.dtype
    query, key, value = (t.to(dtype).transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    grouped_queries: dict[str, Any] = {"enable_gqa": True} if _GROUPED else {}
    attended: Any = varlen.varlen_attn(
        query, key, value, boundaries, boundaries, length, length,
        scale=scaling, window_size=(-1, 0), **grouped_queries,
    )  # fmt: skip
    return attended.view(rows, length, heads, size), None


AttentionInterface.register(IMPLEMENTATION, attend)


def one_document_each(position_ids: torch.Tensor) -> bool:
    """Tell whether each row of (B, T) positions is 0, 1, ..., T - 1: no document ends within it."""
    length = position_ids.shape[-1]
    return bool((position_ids == torch.arange(length, device=position_ids.device)).all())


def has_kernel(model: PreTrainedModel, precision: str) -> bool:
    """Tell whether the variable-length kernel can be used: 16 bits, no dropout, CUDA."""
    config = model.config
    plain = config._attn_implementation == "sdpa" and not config.attention_dropout
    return plain and precision != "32-true" and torch.cuda.is_available()


def document_boundaries(position_ids: torch.Tensor) -> torch.Tensor:
    """Return the cumulative document lengths of a batch: the start of each document among its
    B * T tokens, then B * T; int32.

    A document begins with each row and wherever positions do not increase by one (the definition
    of transformers). The last entry is repeated until there are 1 + 2^k entries, so that batches
    have few different shapes.
    """
    begins = torch.ones_like(position_ids, dtype=torch.bool)
    begins[:, 1:] = position_ids.diff(dim=-1) != 1
    starts = begins.flatten().nonzero()[:, 0].to(torch.int32)
    capacity = 1 << (len(starts) - 1).bit_length()
    boundaries = starts.new_full((capacity + 1,), position_ids.numel())
    boundaries[: len(starts)] = starts
    return boundaries


@dataclass(frozen=True)
class Layout:
    """How the rows of a batch are divided into documents; by default, by an attention mask."""

    whole_rows: bool = False
    # See `document_boundaries`; None where no kernel needs them.
    boundaries: torch.Tensor | None = None

    @classmethod
    def of(cls, position_ids: torch.Tensor, model: PreTrainedModel, precision: str) -> Layout:
        """Return the layout of a batch with the given positions, (B, T)."""
        if one_document_each(position_ids):
            return cls(whole_rows=True)
        if not has_kernel(model, precision):
            return cls()
        return cls(boundaries=document_boundaries(position_ids))

    @property
    def masked(self) -> bool:
        """Whether attention needs the mask."""
        return not self.whole_rows and self.boundaries is None

    def added_to(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the batch with the boundaries, if there are any, as a further entry."""
        return batch if self.boundaries is None else batch | {"boundaries": self.boundaries}

    def to(self, device: torch.device) -> Layout:
        """Return the layout on a device; from pinned memory the copy is asynchronous."""
        if self.boundaries is None:
            return self
        return Layout(self.whole_rows, self.boundaries.to(device, non_blocking=True))

    def pinned(self) -> Layout:
        """Return the layout in pinned memory."""
        if self.boundaries is None:
            return self
        return Layout(self.whole_rows, self.boundaries.pin_memory())


@contextmanager
def without_mask(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, use `attend` for attention, unless a method has set an implementation."""
    config = model.config
    before = config._attn_implementation
    if before == "sdpa":
        config._attn_implementation = IMPLEMENTATION
    try:
        yield
    finally:
        config._attn_implementation = before
