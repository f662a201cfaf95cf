"""The operators by which dynamically expandable networks prune and split units."""

from __future__ import annotations

import torch


def group_shrinkage(
    a: torch.Tensor, b: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the proximal operator of ``threshold`` times the norms of the units.

    argmin_z ||z - (a_i, b_i)||^2 / 2 + threshold ||z|| for every unit i (block soft thresholding,
    Parikh and Boyd, 2014, section 6.5.4); a unit whose norm is at most ``threshold`` becomes zero.

    Args:
        a: (units, inputs).
        b: (units, outputs).
    """
    norm = (a.square().sum(1) + b.square().sum(1)).sqrt()
    # The smallest normal number only keeps 0 / 0 away: such a unit is zero and stays it.
    scale = (norm - threshold).clamp_min(0) / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    return a * scale[:, None], b * scale[:, None]


def relative_drift(
    a: torch.Tensor, b: torch.Tensor, original_a: torch.Tensor, original_b: torch.Tensor
) -> torch.Tensor:
    """Return how far units moved: ||b a' - b0 a0'|| / ||b0 a0'|| (Frobenius), float64 of (units,).

    Of the product and not of (a, b), since (c a, b / c) is the same unit for every c.
    """
    a0, b0 = original_a.double(), original_b.double()
    da, db = a.double() - a0, b.double() - b0
    # b a' - b0 a0' = db a' + b0 da', expanded so that small drifts do not cancel out.
    squared = (
        db.square().sum(1) * a.double().square().sum(1)
        + b0.square().sum(1) * da.square().sum(1)
        + 2 * (db * b0).sum(1) * (a.double() * da).sum(1)
    )
    size = a0.norm(dim=1) * b0.norm(dim=1)
    return squared.clamp_min(0).sqrt() / size.clamp_min(torch.finfo(torch.float64).tiny)
