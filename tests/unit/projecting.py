"""What projected gradients are compared with."""

from scipy.optimize import nnls


def by_nnls(gradient, memories, margin):
    """v = margin + u: the u >= 0 that minimises |M'u + g + margin * sum_k g_k|."""
    g, m = gradient.double().numpy(), memories.double().numpy()
    moved = g + margin * m.sum(0)
    return moved + m.T @ nnls(m.T, -moved)[0]


def cosine_bound(projected, gradient, memories):
    """The smallest g~.g_k, in units of |g| |g_k|."""
    products = memories.double() @ projected.double()
    return (products / memories.double().norm(dim=1) / gradient.double().norm()).min().item()
