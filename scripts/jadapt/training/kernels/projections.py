"""Fuse the projections that read the same input, with LoRA's updates, into one matrix product.

Queries, keys and values read the same input, and so do gate and up. The weights of such a group are
stored in one matrix, and the parameters of its layers are views into it. `fused_linear` computes
the product.
"""

from __future__ import annotations

from typing import Any

import torch
from nemo.collections.llm.peft.lora import LinearAdapter
from torch import nn
from transformers import PreTrainedModel

from jadapt.training.kernels.compiling import layers, share_classes
from jadapt.training.kernels.fused_linear import Extended, Plain, narrow

GROUPS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
# Tensor cores load bfloat16 rows fastest when these begin at multiples of 32 bytes.
ALIGNED = 16


class Group:
    """Linear layers that read the same input and store their weights in one matrix.

    Args:
        members: the layers in the order in which they are called; plain linear layers, or NeMo's
            linear layers with LoRA.
    """

    def __init__(self, members: list[Any]):
        first = members[0]
        self.sizes = _sizes(members)
        self.adapted = isinstance(first, LinearAdapter)
        self.trained = first.weight.requires_grad
        self.scale = first.scale if self.adapted else 1.0
        width = len(members) * first.dim if self.adapted else 0
        self.width = -(-width // ALIGNED) * ALIGNED
        inputs = first.in_features
        self.matrix = first.weight.detach().new_zeros(sum(self.sizes), inputs + self.width)
        self.bias = None if first.bias is None else first.bias.detach().new_zeros(sum(self.sizes))
        self.down = first.weight.new_zeros(self.width, inputs) if self.adapted else None
        self.homes: list[tuple[nn.Parameter, torch.Tensor]] = []
        # LoRA's B matrices are copied into the matrix instead of being views of it: as views they
        # would not be contiguous, which optimisers do not support.
        self.ups: list[tuple[nn.Parameter, torch.Tensor]] = []
        row = 0
        for index, member in enumerate(members):
            rows = slice(row, row + member.out_features)
            row = rows.stop
            self.homes.append((member.weight, self.matrix[rows, :inputs]))
            if self.bias is not None:
                self.homes.append((member.bias, self.bias[rows]))
            if self.down is not None:
                ranks = slice(index * member.dim, (index + 1) * member.dim)
                self.homes.append((member.lora_a.weight, self.down[ranks]))
                up = self.matrix[rows, inputs + ranks.start : inputs + ranks.stop]
                self.ups.append((member.lora_b.weight, up))
        self.attach()
        # The input of the first member, and the outputs that the others will return for it.
        self.given: torch.Tensor | None = None
        self.later: tuple[torch.Tensor, ...] = ()

    def attach(self) -> None:
        """Make the members' parameters views of the matrix, keeping their values.

        Must be called again after the model was moved to another device and back, since that gives
        each parameter storage of its own.
        """
        for parameter, home in self.homes:
            if parameter.data_ptr() != home.data_ptr():
                home.copy_(parameter.detach())
                parameter.data = home

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the present values of LoRA's B matrices, scaled, into the matrix."""
        for factor, place in self.ups:
            torch.mul(factor, self.scale, out=place)

    def compute(self, x: torch.Tensor, members: list[Any]) -> tuple[torch.Tensor, ...]:
        """Return each member's output for ``x``, (..., inputs)."""
        flat = x.flatten(0, -2)
        if self.adapted:
            factors = [member.lora_a.weight for member in members]
            factors += [member.lora_b.weight for member in members]
            outputs = Extended.apply(
                flat, self.matrix, self.bias, self.down, self.scale, self.sizes, *factors
            )
        else:
            trained = [member.weight for member in members] if self.trained else []
            if self.trained and self.bias is not None:
                trained += [member.bias for member in members]
            outputs = Plain.apply(flat, self.matrix, self.bias, self.sizes, *trained)
        return tuple(output.view(*x.shape[:-1], -1) for output in outputs)


class _Member:
    """Mixin of a linear layer whose output is computed by its group.

    A frozen layer whose weight temporarily requires a gradient (while Fisher information is
    estimated) computes its own output.
    """

    group: Group
    fellows: list[nn.Linear]
    place: int
    # Of the linear layer that it is mixed into.
    weight: nn.Parameter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for ``x``, (..., inputs)."""
        group = self.group
        if self.weight.requires_grad and not group.trained:
            return super().forward(x)  # type: ignore[misc]
        if self.place == 0:
            outputs = group.compute(x, self.fellows)
            if len(outputs) > 1:
                group.given, group.later = x, outputs
            return outputs[0]
        if group.given is not x:
            return super().forward(x)  # type: ignore[misc]
        output = group.later[self.place]
        if self.place == len(self.fellows) - 1:
            # Free the tensors of this step.
            group.given, group.later = None, ()
        return output


_kinds: dict[type, type] = {}


def fuse_projections(model: PreTrainedModel) -> list[Group]:
    """Store the weights of each group of layers in one matrix, in place; parameter names stay.

    To be called after the model is on its device and the method has added its parameters. Groups
    are left alone if a method has changed them in any way other than LoRA without dropout.
    """
    groups = []
    share_classes(layers(model))
    for layer in layers(model):
        modules = {name.rpartition(".")[2]: module for name, module in layer.named_modules()}
        for names in GROUPS:
            members = [modules[name] for name in names if name in modules]
            if len(members) == len(names) and _alike(members):
                groups.append(_form(members))
    if any(group.adapted for group in groups):
        model.register_forward_pre_hook(lambda *_: [group.refresh() for group in groups] and None)
    return groups


def _form(members: list[Any]) -> Group:
    group = Group(members)
    for place, member in enumerate(members):
        kind = type(member)
        if kind not in _kinds:
            _kinds[kind] = type(f"Grouped{kind.__name__}", (_Member, kind), {})
        member.__class__ = _kinds[kind]
        # Written past nn.Module.__setattr__, which would register the other members as submodules
        # of this one, to be moved and saved with it.
        vars(member).update(group=group, fellows=members, place=place)
    return group


def _sizes(members: list[nn.Linear]) -> tuple[int, ...]:
    return tuple(member.out_features for member in members)


def _alike(members: list[Any]) -> bool:
    """Tell whether layers can share a matrix, and gain by it.

    A single layer gains only with LoRA. Wide layers that train gain nothing: their products are as
    fast separately (with gate and up fused, a step was 3 % slower on an H200).
    """
    parameters = [p for m in members for p in (m.weight, m.bias) if p is not None]
    if len({(p.dtype, p.requires_grad) for p in parameters}) > 1:
        return False
    if len({m.bias is None for m in members}) > 1:
        return False
    first = members[0]
    if first.weight.requires_grad and not narrow(_sizes(members), first.in_features):
        return False
    if all(isinstance(member, LinearAdapter) for member in members):
        # With dropout each layer would have a different input.
        return not any(member.dropout.p for member in members) and (
            len({(m.dim, m.scale, m.lora_a.weight.dtype) for m in members}) == 1
            and first.lora_a.weight.dtype == first.weight.dtype
        )
    return len(members) > 1 and all(type(member) is nn.Linear for member in members)
