"""Projections of the same input as one matrix product, with LoRA's low-rank updates within it.

Queries, keys and values read the same input, as do gate and up; each group's weights lie in one
matrix, of which the layers' own are views. `products` multiplies with it.
"""

from __future__ import annotations

import torch
from nemo.collections.llm.peft.lora import LinearAdapter
from torch import nn
from transformers import PreTrainedModel

from jadapt.training.kernels.compiling import layers, share_classes
from jadapt.training.kernels.fused_linear import Extended, Plain, narrow

GROUPS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
# Rows of bfloat16 that begin at multiples of 32 bytes are what matrix units load best.
ALIGNED = 16


class Group:
    """The linear layers of one input, their weights in one matrix.

    Args:
        members: in the order of their calls; plain linear layers or NeMo's with LoRA.
    """

    def __init__(self, members: list[nn.Linear]):
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
        # Not views: optimisers cannot step through memory with gaps.
        self.ups: list[tuple[nn.Parameter, torch.Tensor]] = []
        row = 0
        for index, member in enumerate(members):
            rows = slice(row, row + member.out_features)
            row = rows.stop
            self.homes.append((member.weight, self.matrix[rows, :inputs]))
            if self.bias is not None:
                self.homes.append((member.bias, self.bias[rows]))
            if self.adapted:
                ranks = slice(index * member.dim, (index + 1) * member.dim)
                self.homes.append((member.lora_a.weight, self.down[ranks]))
                up = self.matrix[rows, inputs + ranks.start : inputs + ranks.stop]
                self.ups.append((member.lora_b.weight, up))
        self.attach()
        # What the first member was given, and the outputs that the others will be asked for.
        self.given: torch.Tensor | None = None
        self.later: tuple[torch.Tensor, ...] = ()

    def attach(self) -> None:
        """Let the members' parameters live in the matrix, with the values that they have.

        Again after they were moved to another device and back, which gives them memory of their
        own.
        """
        for parameter, home in self.homes:
            if parameter.data_ptr() != home.data_ptr():
                home.copy_(parameter.detach())
                parameter.data = home

    @torch.no_grad()
    def refresh(self) -> None:
        """Take up LoRA's B as it is now."""
        for factor, place in self.ups:
            torch.mul(factor, self.scale, out=place)

    def compute(self, x: torch.Tensor, members: list[nn.Linear]) -> tuple[torch.Tensor, ...]:
        """Return what each member makes of ``x``, (..., inputs)."""
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
    """A linear layer whose group computes for it.

    A frozen layer whose weight wants a gradient after all (a Fisher is estimated) computes for
    itself.
    """

    group: Group
    fellows: list[nn.Linear]
    place: int

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for ``x``, (..., inputs)."""
        group = self.group
        if self.weight.requires_grad and not group.trained:
            return super().forward(x)
        if self.place == 0:
            outputs = group.compute(x, self.fellows)
            if len(outputs) > 1:
                group.given, group.later = x, outputs
            return outputs[0]
        if group.given is not x:
            return super().forward(x)
        output = group.later[self.place]
        if self.place == len(self.fellows) - 1:
            # Nothing of a step stays behind.
            group.given, group.later = None, ()
        return output


_kinds: dict[type, type] = {}


def fuse_projections(model: PreTrainedModel) -> list[Group]:
    """Put the weights of each group of layers in one matrix, in place; names stay.

    To be called on the device, when the method has added what it trains. Groups that a method
    has changed in another way than LoRA without dropout are left alone.
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


def _form(members: list[nn.Linear]) -> Group:
    group = Group(members)
    for place, member in enumerate(members):
        kind = type(member)
        if kind not in _kinds:
            _kinds[kind] = type(f"Grouped{kind.__name__}", (_Member, kind), {})
        member.__class__ = _kinds[kind]
        # In a plain dictionary: a module that is registered in another is moved and saved with it.
        vars(member).update(group=group, fellows=members, place=place)
    return group


def _sizes(members: list[nn.Linear]) -> tuple[int, ...]:
    return tuple(member.out_features for member in members)


def _alike(members: list[nn.Linear]) -> bool:
    """Tell whether layers can share a matrix; one alone gains nothing unless it has LoRA.

    Nor do wide ones that train: their products are as fast apart (with gate and up together a step
    was 3 % slower on an H200).
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
        # Dropout would give each layer an input of its own.
        return not any(member.dropout.p for member in members) and (
            len({(m.dim, m.scale, m.lora_a.weight.dtype) for m in members}) == 1
            and first.lora_a.weight.dtype == first.weight.dtype
        )
    return len(members) > 1 and all(type(member) is nn.Linear for member in members)
