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


def embeddings(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Return the embedding and the output layer's matrix by name; one, where these are tied."""
    wanted = {model.get_input_embeddings().weight, model.get_output_embeddings().weight}
    return {name: p for name, p in model.named_parameters() if p in wanted}


@torch.no_grad()
def interpolate(model: nn.Module, before: dict[str, torch.Tensor], share: float) -> float:
    """Put updates at ``share`` of the way from those of ``before``, as near as their rank allows.

    With factors that were zero this only scales B. Else of (1 - share) B' A' + share B A, whose
    rank is up to 2r, the r largest singular values are kept: the nearest update of rank r (Eckart
    and Young, 1936). Whatever else trains is interpolated as it is.

    Args:
        model: with low-rank factors.
        before: the trainable parameters at the start, by name.
        share: in [0, 1].

    Returns:
        The norm of what was left out over that of the change.
    """
    parameters = dict(model.named_parameters())
    lost = changed = 0.0
    factors = set()
    for name, layer in adapted_layers(model):
        names = f"{name}.lora_a.weight", f"{name}.lora_b.weight"
        factors.update(names)
        a, b = layer.lora_a.weight, layer.lora_b.weight
        old_a, old_b = before[names[0]].to(a), before[names[1]].to(b)
        if share == 1:
            continue
        if not old_b.any():
            b.mul_(share)
            continue
        one, other = torch.cat([(1 - share) * old_b, share * b], 1), torch.cat([old_a, a])
        left, core = torch.linalg.qr(one.float())
        right, other_core = torch.linalg.qr(other.float().T)
        u, s, v = torch.linalg.svd(core @ other_core.T, full_matrices=False)
        rank = len(a)
        root = s[:rank].sqrt()
        changed += float((share * (b @ a - old_b @ old_a)).double().square().sum())
        lost += float(s[rank:].double().square().sum())
        b.copy_(left @ u[:, :rank] * root)
        a.copy_(root[:, None] * (v[:rank] @ right.T))
    for name in set(before) & set(parameters) - factors:
        parameters[name].lerp_(before[name].to(parameters[name]), 1 - share)
    return (lost / changed) ** 0.5 if changed else 0.0


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
