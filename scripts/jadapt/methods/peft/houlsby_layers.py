"""The layers of Houlsby's adapters (`jadapt.methods.peft.houlsby`)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from jadapt.core.errors import UserError

ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu}
# The last linear layer of each of the two sub-layers, in the Llama family.
PLACES = ("o_proj", "down_proj")


def add_adapters(
    model: PreTrainedModel, bottleneck: int, activation: str, init_std: float, train_norms: bool
) -> None:
    """Freeze ``model`` and add the adapters, in place.

    Raises:
        UserError: the model has none of the layers that they follow.
    """
    model.requires_grad_(False)
    found = [
        module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in PLACES and isinstance(module, nn.Linear)
    ]
    if not found:
        raise UserError(
            f"method houlsby: the model has none of the layers {', '.join(PLACES)}; "
            "choose a model of the Llama family"
        )
    for linear in found:
        AdaptedLinear.patch(
            linear,
            bottleneck,
            activation,
            init_std,
        )
    if train_norms:
        for gain in norm_gains(model):
            gain.requires_grad_(True)


class AdaptedLinear(nn.Linear):
    """A linear layer followed by a bottleneck adapter with its own residual connection."""

    @classmethod
    def patch(cls, linear: nn.Linear, bottleneck: int, activation: str, init_std: float) -> None:
        """Turn ``linear`` into such a layer; the new parameters lie beside its weight."""
        place = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        down = nn.Linear(linear.out_features, bottleneck, **place)
        up = nn.Linear(bottleneck, linear.out_features, **place)
        if init_std:
            nn.init.normal_(up.weight, std=init_std)
        else:
            nn.init.zeros_(up.weight)
        nn.init.zeros_(down.bias)
        nn.init.zeros_(up.bias)
        linear.adapter_down, linear.adapter_up = down, up
        linear.activation = ACTIVATIONS[activation]
        linear.__class__ = cls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return h + W_up f(W_down h + b) + b' for h = W x, of shape (..., out)."""
        h = functional.linear(x, self.weight, self.bias)
        return h + self.adapter_up(self.activation(self.adapter_down(h)))


def norm_gains(model: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the gains of all normalisation layers, the last one before the output included."""
    for module in model.modules():
        # Every architecture of transformers has a norm class of its own, named so.
        if type(module).__name__.lower().endswith("norm"):
            yield module.weight
