"""Causal attention without a mask, for rows that hold one document each.

A mask keeps packed documents apart, and SDPA's flash kernel takes none. transformers builds the
mask whenever it is given positions; an implementation that it has no mask for gets none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

IMPLEMENTATION = "jadapt_whole_rows"

AttentionInterface.register(IMPLEMENTATION, sdpa_attention_forward)


def one_document_each(position_ids: torch.Tensor) -> bool:
    """Tell whether every row of (B, T) positions counts on from 0: no document ends within it."""
    length = position_ids.shape[-1]
    return bool((position_ids == torch.arange(length, device=position_ids.device)).all())


@contextmanager
def without_mask(model: PreTrainedModel) -> Iterator[None]:
    """Within, attention is causal over whole rows; a method's own attention is left alone."""
    config = model.config
    before = config._attn_implementation
    if before == "sdpa":
        config._attn_implementation = IMPLEMENTATION
    try:
        yield
    finally:
        config._attn_implementation = before
