"""Compile the layers of a model one by one."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from jadapt.errors import UserError


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the decoder layers in their order; a model without any is a `UserError`."""
    found = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise UserError(
            f"training.fast.compile_layers: no decoder layers in {type(model).__name__}; "
            "set it to false"
        )
    return found


def compile_layers(model: PreTrainedModel) -> None:
    """Compile each decoder layer in place: names of parameters stay, methods' changes take part.

    All layers share one graph, so this takes seconds where compiling the whole model takes a
    minute. To be called after a method has added its parameters.
    """
    # A layer is traced anew for each place of its index in caches, hooks and the like; what is
    # traced the same is compiled once. The default limit of 8 would leave later layers eager.
    found = layers(model)
    torch._dynamo.config.cache_size_limit = max(
        torch._dynamo.config.cache_size_limit, 2 * len(found)
    )
    for layer in found:
        layer.compile()
