"""Projections of a gradient: those of GEM (Lopez-Paz and Ranzato, NIPS 2017) and A-GEM
(Chaudhry et al., ICLR 2019).

Signs. g is the gradient of the current loss, g_k that of the *loss* on the memory of an earlier
domain k, and the step is -learning_rate * g~. It changes that loss by about
-learning_rate * g~.g_k, which must not be positive: the constraint is g~.g_k >= 0.

Of all such g~ GEM takes the nearest to g. Its dual is a problem in as many unknowns as domains,
    min_v 1/2 v'MM'v + (Mg)'v  subject to v >= margin,    g~ = g + M'v    (rows of M: g_k),
which `quadprog` solves as: minimise 1/2 x'Gx - a'x subject to C'x >= b, with G = MM', a = -Mg,
C = 1, b = margin. A margin of 0 is the projection. With a larger one, at least margin * g_k is
added for every k once any constraint is violated: replay of the memories, which grows with the
size of their gradients.

All parameters are one vector: constraints a tensor would be other and more constraints.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import quadprog
import torch

# Added to the diagonal of the Gram matrix of unit vectors, so that it stays positive definite when
# memory gradients are parallel: a constraint is met but for this share of |g|.
RIDGE = 1e-12
# Entries converted to float64 at a time.
CHUNK = 2**22


class Projection(NamedTuple):
    """A projected gradient and what was measured on the way.

    Attributes:
        gradient: shape (P,); the very tensor that was given when no constraint was violated.
        violated: number of memories with g.g_k < 0.
        cosine: the smallest one between the gradient and a memory gradient.
        norm_ratio: the norm after projection over that before.
    """

    gradient: torch.Tensor
    violated: int
    cosine: float
    norm_ratio: float


def project_gem(gradient: torch.Tensor, memories: torch.Tensor, margin: float) -> Projection:
    """Return the gradient nearest to ``gradient`` that raises no memory's loss.

    Inner products are summed in float64. The quadratic program is solved for unit vectors, which
    leaves its solution as it is, margin included, and makes `RIDGE` independent of the scale. A
    memory gradient of zero constrains nothing. Where anything is infinite or NaN the gradient is
    returned as it is; after an fp16 overflow the loss scaler skips the step.

    Args:
        gradient: g, shape (P,), float32.
        memories: the g_k, shape (K, P), float32.
        margin: lower bound of the dual variables, at least 0.
    """
    own, products, gram = _inner_products(gradient, memories)
    norm, norms = np.sqrt(own), np.sqrt(np.diag(gram))
    usable = norms > 0
    if not (np.isfinite(products).all() and np.isfinite(gram).all() and np.isfinite(own)):
        return Projection(gradient, 0, float("nan"), float("nan"))
    if norm == 0 or not usable.any():
        return Projection(gradient, 0, 0.0, 1.0)
    norms, products = norms[usable], products[usable]
    cosines = products / norm / norms
    violated = int((products < 0).sum())
    if not violated:
        return Projection(gradient, 0, float(cosines.min()), 1.0)

    gram = gram[np.ix_(usable, usable)]
    unit_gram = gram / norms[:, None] / norms[None, :]
    unit_duals = _solve(unit_gram, cosines, margin * norms / norm)
    duals = np.zeros(len(usable))
    duals[usable] = unit_duals * norm / norms
    squared = 1 + 2 * unit_duals @ cosines + unit_duals @ unit_gram @ unit_duals
    return Projection(
        _combine(gradient, memories, duals),
        violated,
        float(cosines.min()),
        float(np.sqrt(max(squared, 0.0))),
    )


def project_agem(gradient: torch.Tensor, memory: torch.Tensor) -> Projection:
    """Return g - (g.m / m.m) m if g.m < 0, else g: GEM with one memory and no margin.

    Args:
        gradient: g, shape (P,), float32.
        memory: m, shape (P,), float32.
    """
    own, products, gram = _inner_products(gradient, memory[None])
    product, square = float(products[0]), float(gram[0, 0])
    if not np.isfinite([own, product, square]).all():
        return Projection(gradient, 0, float("nan"), float("nan"))
    cosine = product / np.sqrt(own) / np.sqrt(square) if own > 0 and square > 0 else 0.0
    if not cosine < 0:
        return Projection(gradient, 0, float(cosine), 1.0)
    projected = _combine(gradient, memory[None], np.array([-product / square]))
    return Projection(projected, 1, float(cosine), float(np.sqrt(max(1 - cosine**2, 0.0))))


def _solve(gram: np.ndarray, products: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Minimise 1/2 v'(gram)v + products'v subject to v >= bounds (all float64)."""
    count = len(products)
    stable = (gram + gram.T) / 2 + RIDGE * np.eye(count)
    solution = quadprog.solve_qp(stable, -products, np.eye(count), bounds)[0]
    # Rounding may leave an active bound by a unit in the last place.
    return np.maximum(solution, bounds)


def _inner_products(
    gradient: torch.Tensor, memories: torch.Tensor
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return g.g, the g.g_k (K,) and the g_j.g_k (K, K), summed in float64."""
    count = len(memories)
    total = torch.zeros(count + 1, count + 1, dtype=torch.float64, device=gradient.device)
    for own, others in zip(gradient.split(CHUNK), memories.split(CHUNK, dim=1), strict=True):
        vectors = torch.cat([own[None], others]).double()
        total += vectors @ vectors.T
    found = total.cpu().numpy()
    return float(found[0, 0]), found[0, 1:], found[1:, 1:]


def _combine(gradient: torch.Tensor, memories: torch.Tensor, duals: np.ndarray) -> torch.Tensor:
    """Return g + sum_k v_k g_k, summed in float64: opposed memories cancel at large v."""
    weights = torch.from_numpy(duals).to(gradient.device)
    projected = torch.empty_like(gradient)
    pieces = (gradient.split(CHUNK), memories.split(CHUNK, dim=1), projected.split(CHUNK))
    for own, others, out in zip(*pieces, strict=True):
        out.copy_(own.double() + weights @ others.double())
    return projected
