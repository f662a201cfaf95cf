"""Models that carry two low-rank factors on some of their linear layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import nn
from transformers import PreTrainedModel


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Yield the linear layers that carry two low-rank factors, with their names."""
    for name, module in model.named_modules():
        if "lora_a" in module._modules:
            yield name, module


@torch.no_grad()
def merged(
    model: PreTrainedModel, weight_delta: Callable[[PreTrainedModel], dict[str, torch.Tensor]]
) -> PreTrainedModel:
    """Return a copy of ``model`` with the change added to the weights, and no adapter."""
    changes = weight_delta(model)
    plain = copy.deepcopy(model)
    for name, layer in list(adapted_layers(plain)):
        linear = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
        linear.weight = nn.Parameter(layer.weight + changes[name])
        linear.bias = layer.bias
        plain.set_submodule(name, linear)
    return plain.requires_grad_(True)
