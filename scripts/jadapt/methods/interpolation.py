"""Weights on the line between the base model and an adapted one (Wortsman et al., CVPR 2022).

Nothing is trained for it: of what a method changed, a share is taken. For full fine-tuning these
are the weights base + share * (adapted - base); for LoRA the scale of the update.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from jadapt.methods.base import Method


@contextmanager
def interpolated(
    model: PreTrainedModel, method: Method, base: Path, share: float
) -> Iterator[None]:
    """Hold ``model`` at ``share`` of what ``method`` changed, 0 being the base model.

    Args:
        model: as it was adapted; it is so again afterwards, bit by bit.
        method: with ``interpolates``.
        base: checkpoint of the base model.
        share: in [0, 1].
    """
    parameters = dict(model.named_parameters())
    kept = {}
    with torch.no_grad(), safe_open(base / "model.safetensors", framework="pt") as weights:
        for name in method.interpolated_names(model):
            parameter = parameters[name]
            kept[name] = parameter.detach().clone()
            # A parameter that the method added makes no difference where it is zero.
            zero = torch.zeros_like(parameter)
            start = weights.get_tensor(name).to(zero) if name in weights.keys() else zero  # noqa: SIM118
            parameter.lerp_(start, 1 - share)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                parameters[name].copy_(value)
