"""Compile a model layer by layer with torch.compile."""

from __future__ import annotations

import torch
import torch._functorch.config
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from jadapt.core.errors import UserError

# Kept for the lifetime of the process, so that its next run reuses the compiled code.
_shared: dict[tuple, type] = {}


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the decoder layers in order; raise a `UserError` if the model has none."""
    found = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise UserError(
            f"training.fast.compile_layers: no decoder layers in {type(model).__name__}; "
            "set it to false"
        )
    return found


def compile_layers(model: PreTrainedModel, activation_budget: float = 1.0) -> None:
    """Compile each decoder layer, and the norm after the last one, in place.

    Parameter names stay, and what a method has added to the layers is compiled with them, so this
    is to be called after a method has added its parameters. All layers share one compiled graph:
    this takes seconds, where compiling the whole model takes a minute.

    Args:
        model: a causal language model.
        activation_budget: fraction of the activations kept for the backward pass, in (0, 1].
    """
    torch._functorch.config.activation_memory_budget = activation_budget
    # Each layer may be traced again, because it refers to its own index (in caches and hooks), but
    # identical traces are compiled once. The default limit of 8 traces would leave the layers after
    # the eighth uncompiled.
    found = layers(model)
    torch._dynamo.config.cache_size_limit = max(
        torch._dynamo.config.cache_size_limit, 2 * len(found)
    )
    share_classes(found)
    for module in (*found, *_norms_after(model, found[-1])):
        module.compile()


def _norms_after(model: PreTrainedModel, layer: nn.Module) -> list[nn.Module]:
    """Return the siblings of the layers whose class also occurs in a layer: the final norm."""
    kinds = {type(child) for child in layer.children()}
    return [child for child in model.base_model.children() if type(child) in kinds]


def compile_within_hooks(layer: nn.Module) -> None:
    """Compile only the ``forward`` of a compiled layer, without its hooks.

    FSDP's hooks that gather weights cannot be compiled. Each would cause a graph break, and a
    recompilation for every layer.
    """
    if layer._compiled_call_impl is not None:
        layer._compiled_call_impl = None
        layer.forward = torch.compile(layer.forward)


def share_classes(found: list[nn.Module]) -> None:
    """Replace classes that have the same name and bases and an empty body by one of them.

    NeMo creates a new class for each linear layer that it adapts, and torch.compile recompiles for
    modules of another class. With LoRA that would be every layer, for longer than many runs take.
    """
    for layer in found:
        for module in layer.modules():
            kind = type(module)
            if vars(kind).keys() <= {"__module__", "__doc__"}:
                module.__class__ = _shared.setdefault((kind.__name__, kind.__bases__), kind)
