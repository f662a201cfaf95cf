"""Causal attention within documents, without a mask.

A mask keeps packed documents apart, and SDPA's flash kernel takes none. transformers builds the
mask whenever it is given positions; an implementation that it has no mask for gets none. Rows that
hold one document each need nothing in its place; for others a kernel for sequences of different
lengths (`torch.nn.attention.varlen`) is told where documents begin.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

IMPLEMENTATION = "jadapt_documents"

# Needed since torch 2.12 where keys have fewer heads; before, that was allowed without a word.
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
    """Attention by the interface of transformers.

    Args:
        module: the attention layer.
        query: (B, heads, T, head_dim), rotated.
        key: (B, key_value_heads, T, head_dim), rotated.
        value: the same shape as ``key``.
        attention_mask: none is expected.
        dropout: of the weights, in rows of one document only.
        scaling: of the scores; None for head_dim to the power of -1/2.
        boundaries: see `document_boundaries`; None where every row is one document.
        unused: what else transformers hands on.

    Returns:
        The heads' outputs, (B, T, heads, head_dim), and no weights.
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
    # Rotated positions are float32 under autocast, which casts for SDPA, but not for this kernel.
    kind = query.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else query.dtype
    query, key, value = (t.to(dtype).transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    output = varlen.varlen_attn(
        query, key, value, boundaries, boundaries, length, length,
        scale=scaling, window_size=(-1, 0), **({"enable_gqa": True} if _GROUPED else {}),
    )  # fmt: skip
    return output.view(rows, length, heads, size), None


AttentionInterface.register(IMPLEMENTATION, attend)


def one_document_each(position_ids: torch.Tensor) -> bool:
    """Tell whether every row of (B, T) positions counts on from 0: no document ends within it."""
    length = position_ids.shape[-1]
    return bool((position_ids == torch.arange(length, device=position_ids.device)).all())


def has_kernel(model: PreTrainedModel, precision: str) -> bool:
    """Tell whether attention can be told the boundaries of documents: 16 bits, no dropout, CUDA."""
    config = model.config
    plain = config._attn_implementation == "sdpa" and not config.attention_dropout
    return plain and precision != "32-true" and torch.cuda.is_available()


def document_boundaries(position_ids: torch.Tensor) -> torch.Tensor:
    """Return where documents begin among the B * T tokens of a batch, and B * T; int32.

    A document begins with each row and wherever positions do not count on, as transformers has it.
    The end is repeated up to 1 + a power of two entries, so that batches differ in few shapes.
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
    """How the rows of a batch divide into documents; by default, as the mask says."""

    whole_rows: bool = False
    # See `document_boundaries`; None where no kernel is to be told.
    boundaries: torch.Tensor | None = None

    @classmethod
    def of(cls, position_ids: torch.Tensor, model: PreTrainedModel, precision: str) -> Layout:
        """Return how (B, T) positions divide, as far as a kernel cares."""
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
        """Return a batch with the boundaries, where there are any, beside its rows."""
        return batch if self.boundaries is None else batch | {"boundaries": self.boundaries}

    def to(self, device: torch.device) -> Layout:
        """Return the same on a device; from pinned memory, nothing waits."""
        if self.boundaries is None:
            return self
        return Layout(self.whole_rows, self.boundaries.to(device, non_blocking=True))

    def pinned(self) -> Layout:
        """Return the same in memory from which copies wait for nothing."""
        if self.boundaries is None:
            return self
        return Layout(self.whole_rows, self.boundaries.pin_memory())


@contextmanager
def without_mask(model: PreTrainedModel) -> Iterator[None]:
    """Within, attention is causal over documents; a method's own attention is left alone."""
    config = model.config
    before = config._attn_implementation
    if before == "sdpa":
        config._attn_implementation = IMPLEMENTATION
    try:
        yield
    finally:
        config._attn_implementation = before
