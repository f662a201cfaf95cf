"""Low-rank factors that start as the principal part of a weight (PiSSA; Meng et al., NeurIPS 2024).

With the r largest singular values of W and their vectors, U S V', the factors start as
B0 = U sqrt(S / s) and A0 = sqrt(S / s) V', and the frozen weight becomes W - s B0 A0: the layer
computes what it did.
"""

from __future__ import annotations

import torch
from torch import nn

from jadapt.methods.peft.lora_layers import adapted_layers

# Buffers of a layer: the factors that it started from.
STARTED_A, STARTED_B = "started_a", "started_b"


@torch.no_grad()
def start_principal(model: nn.Module, scale: float) -> None:
    """Give the factors of every adapted layer the principal part of its weight, in place."""
    for _, layer in adapted_layers(model):
        rank, dtype = layer.lora_a.out_features, layer.weight.dtype
        u, s, v = torch.linalg.svd(layer.weight.float(), full_matrices=False)
        root = (s[:rank] / scale).sqrt()
        a, b = root[:, None] * v[:rank], u[:, :rank] * root
        layer.lora_a.weight.copy_(a)
        layer.lora_b.weight.copy_(b)
        layer.register_buffer(STARTED_A, a.to(dtype), persistent=False)
        layer.register_buffer(STARTED_B, b.to(dtype), persistent=False)
        layer.weight.sub_(scale * (getattr(layer, STARTED_B) @ getattr(layer, STARTED_A)))


@torch.no_grad()
def start_from(layer: nn.Linear, a: torch.Tensor, b: torch.Tensor, scale: float) -> None:
    """Let a layer have started from other factors, those of an adapter that is read back.

    The same to the last bit on the machine that wrote it; another one may have found them in
    another sign, order or rounding.
    """
    own_a, own_b = getattr(layer, STARTED_A), getattr(layer, STARTED_B)
    a, b = a.to(own_a), b.to(own_b)
    if torch.equal(a, own_a) and torch.equal(b, own_b):
        return
    layer.weight.add_(scale * (own_b @ own_a)).sub_(scale * (b @ a))
    own_a.copy_(a)
    own_b.copy_(b)
