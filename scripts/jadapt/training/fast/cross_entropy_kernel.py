"""What is done with a chunk's logits, as one Triton kernel: loss and gradient, a row a program.

A row is read from memory once; it is still in the cache when it is read again for the gradient,
which takes its place. (torch.compile makes two kernels of it that reach a third of the memory's
bandwidth on an H200, measured with 151,936 entries.)
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# The fastest of those tried on an H200. Not chosen anew by every process: sums would differ.
BLOCK, WARPS = 8192, 8


@triton.jit
def _rows(logits, labels, losses, share, width, ignored, BLOCK: tl.constexpr):
    """Write a row's part of the loss; replace its logits by their gradient."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * width
    label = tl.load(labels + row)
    scored = label != ignored
    target = tl.where(scored, label, 0)
    weight = tl.load(share) * scored
    # Before the loop, whose reductions wait for all threads: later it may be overwritten.
    chosen = tl.load(logits + target).to(tl.float32)
    places = tl.arange(0, BLOCK)
    largest = tl.full((), float("-inf"), tl.float32)
    total = tl.full((), 0.0, tl.float32)
    for first in range(0, width, BLOCK):
        inside = first + places < width
        part = tl.load(logits + first + places, mask=inside, other=float("-inf")).to(tl.float32)
        newest = tl.maximum(largest, tl.max(part, axis=0))
        total = total * tl.exp(largest - newest) + tl.sum(tl.exp(part - newest), axis=0)
        largest = newest
    normaliser = largest + tl.log(total)
    tl.store(losses + row, (normaliser - chosen) * weight)
    for first in range(0, width, BLOCK):
        inside = first + places < width
        part = tl.load(logits + first + places, mask=inside, other=float("-inf")).to(tl.float32)
        gradient = tl.exp(part - normaliser) - tl.where(first + places == target, 1.0, 0.0)
        tl.store(
            logits + first + places,
            (gradient * weight).to(logits.dtype.element_ty),
            mask=inside,
        )


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
