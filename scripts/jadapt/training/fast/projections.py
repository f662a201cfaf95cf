"""Projections of the same input as one matrix product, with LoRA's low-rank updates within it.

Queries, keys and values read the same input, as do gate and up; each group's weights lie in one
matrix, of which the layers' own are views. With LoRA, x W' + (x A') B' is the product of [x, x A']
and [W, B]', so that the update costs no pass over the outputs; the gradient of the left factor is
one product too, and holds those of x and of x A'.
"""

from __future__ import annotations

from typing import Any

import torch
from nemo.collections.llm.peft.lora import LinearAdapter
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from jadapt.training.fast.compiling import layers, share_classes

GROUPS = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
# Rows of bfloat16 that begin at multiples of 32 bytes are what matrix units load best.
ALIGNED = 16


class Extended(torch.autograd.Function):
    """x W' + b + (x A') B', as [x, x A'] [W, B]' + b."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        matrix: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        scale: float,
        *factors: torch.Tensor,
    ) -> torch.Tensor:
        """Return (N, outputs).

        Args:
            context: of autograd.
            x: (N, inputs).
            matrix: [W, B], (outputs, inputs + K), B times ``scale`` and in blocks, one a layer; K
                is a multiple of 16.
            bias: (outputs,) or None.
            down: the layers' A one below the other, (K, inputs).
            scale: alpha / r.
            factors: A of every layer, (r, inputs), then B of every layer, (its outputs, r); they
                get the gradients, in that order.
        """
        low = x @ down.T
        context.save_for_backward(x, low, matrix, down)
        context.scale = scale
        context.shapes = [tuple(factor.shape) for factor in factors]
        return functional.linear(torch.cat([x, low], dim=-1), matrix, bias)

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple:
        """Return the gradients of x and of the factors."""
        x, low, matrix, down = context.saved_tensors
        (gradient,) = upstream
        both = gradient @ matrix
        of_low = both[:, x.shape[1] :]
        of_x = both[:, : x.shape[1]] + of_low @ down
        of_down = of_low.T @ x
        of_up = (gradient.T @ low) * context.scale
        half = len(context.shapes) // 2
        rank = context.shapes[0][0]
        downs = [of_down[i * rank : (i + 1) * rank] for i in range(half)]
        ups, first = [], 0
        for i, (rows, _) in enumerate(context.shapes[half:]):
            ups.append(of_up[first : first + rows, i * rank : (i + 1) * rank])
            first += rows
        return of_x, None, None, None, None, *downs, *ups


class Group:
    """The linear layers of one input, their weights in one matrix.

    Args:
        members: in the order of their calls; plain linear layers or NeMo's with LoRA.
    """

    def __init__(self, members: list[nn.Linear]):
        first = members[0]
        self.sizes = [member.out_features for member in members]
        self.adapted = isinstance(first, LinearAdapter)
        self.scale = first.scale if self.adapted else 1.0
        width = len(members) * first.dim if self.adapted else 0
        self.width = -(-width // ALIGNED) * ALIGNED
        inputs = first.in_features
        self.matrix = first.weight.new_zeros(sum(self.sizes), inputs + self.width)
        self.bias = first.bias.new_zeros(sum(self.sizes)) if first.bias is not None else None
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
            result = Extended.apply(flat, self.matrix, self.bias, self.down, self.scale, *factors)
        else:
            result = functional.linear(flat, self.matrix, self.bias)
        return result.view(*x.shape[:-1], -1).split(self.sizes, dim=-1)


class _Member:
    """A linear layer whose group computes for it.

    A layer whose own weight wants a gradient (a Fisher is estimated) computes for itself.
    """

    group: Group
    fellows: list[nn.Linear]
    place: int

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for ``x``, (..., inputs)."""
        group = self.group
        if self.weight.requires_grad:
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


def _alike(members: list[nn.Linear]) -> bool:
    """Tell whether layers can share a matrix; one alone gains nothing unless it has LoRA.

    Those that train do not: their gradients would be put together and cut apart again, which costs
    more than one product instead of three gains (3 % of a step on an H200).
    """
    if any(member.weight.requires_grad for member in members):
        return False
    if len({(m.weight.dtype, m.bias is None) for m in members}) > 1:
        return False
    if all(isinstance(member, LinearAdapter) for member in members):
        # Dropout would give each layer an input of its own.
        return not any(member.dropout.p for member in members) and (
            len({(m.dim, m.scale, m.lora_a.weight.dtype) for m in members}) == 1
            and members[0].lora_a.weight.dtype == members[0].weight.dtype
        )
    return len(members) > 1 and all(type(member) is nn.Linear for member in members)
