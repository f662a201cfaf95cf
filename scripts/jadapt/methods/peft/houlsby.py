"""Bottleneck adapters (Houlsby et al., ICML 2019) after attention and after the feed-forward block.

    h + W_up f(W_down h + b) + b'

where h is what the sub-layer adds to the residual stream: the output of the attention's output
projection, and that of the feed-forward block's last layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from jadapt.core.errors import UserError
from jadapt.methods.base import Method
from jadapt.methods.parameters import Transform, load_trainable, nemo_transform, trainable_state
from jadapt.methods.peft import adapter_files

ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu}
# The last linear layer of each of the two sub-layers, in the Llama family.
PLACES = ("o_proj", "down_proj")


class Houlsby(Method):
    """Two bottleneck adapters a block; with ``train_norms`` the gains of the norms train as well,
    as in the paper.

    W_up is drawn from N(0, ``init_std`` squared) and both biases are zero: at 0 the model starts
    exactly unchanged, at the paper's 0.01 nearly so. W_down is drawn as PyTorch draws a linear
    layer, U(-1/sqrt(n), 1/sqrt(n)): were both matrices zero, neither would ever get a gradient.
    """

    key = "houlsby"
    hyperparameters = ("bottleneck", "activation", "init_std", "train_norms")

    def transform(self) -> Transform:
        """Return the NeMo transform that does what `apply` does."""
        return nemo_transform(self.apply)

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` and add the adapters, in place."""
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
                self.settings["bottleneck"],
                self.settings["activation"],
                self.settings["init_std"],
            )
        if self.settings["train_norms"]:
            for gain in norm_gains(model):
                gain.requires_grad_(True)

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write the adapters, and the norms' gains if they train, with a description."""
        adapter_files.write(directory, "houlsby", self.settings, trainable_state(model))

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read what `save` wrote into a model that carries the same adapters."""
        load_trainable(model, adapter_files.read(directory, "houlsby"), directory)


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
