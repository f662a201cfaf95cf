"""Cross-entropy of a chunk of logits and its gradient, as one Triton kernel: one program per row.

Each row is read from memory once. It is still in the cache when it is read again to compute the
gradient, which overwrites it. (torch.compile generates two kernels, which reach a third of the
memory bandwidth of an H200 with a vocabulary of 151,936; this one reaches three quarters.)
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# The fastest of the sizes tried on an H200: blocks so large that few rows are processed at the same
# time, and all of these fit the cache. Fixed rather than autotuned: another block size would change
# the order of sums, and with it the last digits of the loss.
BLOCK, WARPS = 32768, 32
# The hardware computes 2^x, so exp(x) is computed as 2^(x * log2 e).
LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def _rows(logits, labels, losses, share, width, ignored, BLOCK: tl.constexpr):
    """Store the loss of one row, -log softmax(logits)[label], and overwrite the row's logits by
    their gradient, softmax(logits) - onehot(label); both are multiplied by ``share``."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * width
    label = tl.load(labels + row)
    scored = label != ignored
    target = tl.where(scored, label, 0)
    weight = tl.load(share) * scored
    # The label's logit is read before the reductions, which synchronise all threads; after them
    # another thread may have overwritten it.
    chosen = tl.load(logits + target).to(tl.float32)
    places = tl.arange(0, BLOCK)
    # A stable log-sum-exp subtracts the maximum of the row. The maximum of the first block usually
    # serves as well, and saves a pass over the row.
    part = _block(logits, places, width)
    level = tl.max(part, axis=0) * LOG2E
    total = _total(logits, part, places, width, level, BLOCK)
    if not total < float("inf"):
        # It did not: a later logit is so much larger that the sum overflows. Use the maximum of the
        # whole row.
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
    # Correct the entry of the label, after all threads have written theirs.
    tl.debug_barrier()
    gradient = (tl.exp2(chosen * LOG2E - normaliser) - 1) * weight
    tl.store(logits + target, gradient.to(logits.dtype.element_ty), mask=scored)


@triton.jit
def _block(logits, places, width):
    """Load the logits at the indices ``places``; -inf where these are beyond the end of the row."""
    inside = places < width
    part = tl.load(logits + places, mask=inside, other=float("-inf"), eviction_policy="evict_last")
    return part.to(tl.float32)


@triton.jit
def _total(logits, first_block, places, width, level, BLOCK: tl.constexpr):
    """Return the sum of a stable log-sum-exp: sum over the row of 2^(logit * log2 e - level)."""
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
    """Return a chunk's loss; overwrite its logits by their gradient, in their own precision.

    Args:
        logits: (n, vocabulary), contiguous.
        labels: (n,) int64.
        share: the weight of one label, a float32 scalar tensor.
        ignored: the label of rows that are not scored.
    """
    rows, width = logits.shape
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    _rows[(rows,)](logits, labels, losses, share, width, ignored, BLOCK=BLOCK, num_warps=WARPS)
    return losses.sum(), logits
