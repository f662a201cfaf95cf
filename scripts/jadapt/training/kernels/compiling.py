"""Compile the layers of a model one by one."""

from __future__ import annotations

import torch
import torch._functorch.config
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from jadapt.core.errors import UserError

# Kept for the process, so that its next run finds its code compiled.
_shared: dict[tuple, type] = {}


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the decoder layers in their order; a model without any is a `UserError`."""
    found = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise UserError(
            f"training.fast.compile_layers: no decoder layers in {type(model).__name__}; "
            "set it to false"
        )
    return found


def compile_layers(model: PreTrainedModel, activation_budget: float = 1.0) -> None:
    """Compile each decoder layer, and the norm after the last, in place.

    Names of parameters stay, methods' changes take part.

    All layers share one graph, so this takes seconds where compiling the whole model takes a
    minute. To be called after a method has added its parameters.

    Args:
        model: a causal language model.
        activation_budget: the share of activations kept for the backward pass, in (0, 1].
    """
    torch._functorch.config.activation_memory_budget = activation_budget
    # A layer is traced anew for each place of its index in caches, hooks and the like; what is
    # traced the same is compiled once. The default limit of 8 would leave later layers eager.
    found = layers(model)
    torch._dynamo.config.cache_size_limit = max(
        torch._dynamo.config.cache_size_limit, 2 * len(found)
    )
    share_classes(found)
    for module in (*found, *_norms_after(model, found[-1])):
        module.compile()


def _norms_after(model: PreTrainedModel, layer: nn.Module) -> list[nn.Module]:
    """Return what stands beside the layers and is of a kind that they have too: the last norm."""
    kinds = {type(child) for child in layer.children()}
    return [child for child in model.base_model.children() if type(child) in kinds]


def compile_within_hooks(layer: nn.Module) -> None:
    """Leave hooks out of what is compiled of a compiled layer.

    Hooks that gather weights cannot be compiled; each would cut the layer's code in two, and for
    every layer anew.
    """
    if layer._compiled_call_impl is not None:
        layer._compiled_call_impl = None
        layer.forward = torch.compile(layer.forward)


def share_classes(found: list[nn.Module]) -> None:
    """Give modules whose classes add nothing to the same bases one class.

    NeMo makes a class for each linear layer that it adapts, and code for modules of another class
    is compiled anew: with LoRA every layer would be, for longer than many a run takes.
    """
    for layer in found:
        for module in layer.modules():
            kind = type(module)
            if vars(kind).keys() <= {"__module__", "__doc__"}:
                module.__class__ = _shared.setdefault((kind.__name__, kind.__bases__), kind)
