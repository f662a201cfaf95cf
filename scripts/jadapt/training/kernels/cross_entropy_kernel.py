"""What is done with a chunk's logits, as one Triton kernel: loss and gradient, a row a program.

A row is read from memory once; it is still in the cache when it is read again for the gradient,
which takes its place. (torch.compile makes two kernels of it that reach a third of the memory's
bandwidth on an H200, measured with 151,936 entries; this one reaches three quarters.)
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# The fastest of those tried on an H200: so large that few rows are under way at once, and all of
# them fit the cache. Not chosen anew by every process: sums would differ.
BLOCK, WARPS = 32768, 32
# Powers of two are what the hardware computes.
LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def _rows(logits, labels, losses, share, width, ignored, BLOCK: tl.constexpr):
    """Write a row's part of the loss; replace its logits by their gradient."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * width
    label = tl.load(labels + row)
    scored = label != ignored
    target = tl.where(scored, label, 0)
    weight = tl.load(share) * scored
    # Before the sums, which wait for all threads: later it may be overwritten.
    chosen = tl.load(logits + target).to(tl.float32)
    places = tl.arange(0, BLOCK)
    # Relative to the largest of the first block, so that no later block has to wait for its own.
    part = _block(logits, places, width)
    level = tl.max(part, axis=0) * LOG2E
    total = _total(logits, part, places, width, level, BLOCK)
    if not total < float("inf"):
        # A later logit is larger by more than float32 can hold.
        for first in range(BLOCK, width, BLOCK):
            part = _block(logits, first + places, width)
            level = tl.maximum(level, tl.max(part, axis=0) * LOG2E)
        part = _block(logits, places, width)
        total = _total(logits, part, places, width, level, BLOCK)
    normaliser = level + tl.log2(total)
    tl.store(losses + row, (normaliser / LOG2E - chosen) * weight)
    whole = width // BLOCK * BLOCK
    for first in range(0, whole, BLOCK):
        part = tl.load(logits + first + places, eviction_policy="evict_first").to(tl.float32)
        gradient = (tl.exp2(part * LOG2E - normaliser) * weight).to(logits.dtype.element_ty)
        tl.store(logits + first + places, gradient, eviction_policy="evict_first")
    part = _block(logits, whole + places, width)
    gradient = (tl.exp2(part * LOG2E - normaliser) * weight).to(logits.dtype.element_ty)
    tl.store(logits + whole + places, gradient, mask=whole + places < width)
    # The label's entry once more, when all threads have written theirs.
    tl.debug_barrier()
    gradient = (tl.exp2(chosen * LOG2E - normaliser) - 1) * weight
    tl.store(logits + target, gradient.to(logits.dtype.element_ty), mask=scored)


@triton.jit
def _block(logits, places, width):
    """Return the logits at some places, -inf beyond the row."""
    inside = places < width
    part = tl.load(logits + places, mask=inside, other=float("-inf"), eviction_policy="evict_last")
    return part.to(tl.float32)


@triton.jit
def _total(logits, first_block, places, width, level, BLOCK: tl.constexpr):
    """Return the sum over a row of 2 to the power of its logits, in powers of two, over a level."""
    sums = tl.exp2(first_block * LOG2E - level)
    whole = width // BLOCK * BLOCK
    for first in range(BLOCK, whole, BLOCK):
        part = tl.load(logits + first + places, eviction_policy="evict_last").to(tl.float32)
        sums += tl.exp2(part * LOG2E - level)
    if whole > 0:
        sums += tl.exp2(_block(logits, whole + places, width) * LOG2E - level)
    return tl.sum(sums, axis=0)


def chunk(
    logits: torch.Tensor, labels: torch.Tensor, share: torch.Tensor, ignored: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a chunk's part of the loss; its logits become their gradient, in their precision.

    Args:
        logits: (n, vocabulary), contiguous.
        labels: (n,) int64.
        share: what one label counts, a float32 scalar.
        ignored: the label of rows that are not scored.
    """
    rows, width = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    _rows[(rows,)](logits, labels, losses, share, width, ignored, BLOCK=BLOCK, num_warps=WARPS)
    return losses.sum(), logits
