"""The layers of DoRA (`jadapt.methods.peft.dora`): a linear layer with a length and a direction."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from jadapt.core.errors import UserError


def patch_layers(
    model: PreTrainedModel, targets: set[str], rank: int, scale: float, dropout: float
) -> None:
    """Freeze ``model`` and turn its target layers into `DoRALinear`, in place.

    Raises:
        UserError: the model has none of the targets.
    """
    model.requires_grad_(False)
    found = [
        module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in targets and isinstance(module, nn.Linear)
    ]
    if not found:
        raise UserError(f"target_modules: none of {', '.join(sorted(targets))} in this model")
    for linear in found:
        DoRALinear.patch(linear, rank, scale, dropout)
    # New modules, dropout among them, start in training mode.
    model.train(model.training)


class DoRALinear(nn.Linear):
    """A linear layer with DoRA. Its own weight and bias keep their names, and stay frozen."""

    @classmethod
    def patch(cls, linear: nn.Linear, rank: int, scale: float, dropout: float) -> None:
        """Turn ``linear`` into such a layer; the new parameters lie beside its weight."""
        weight = linear.weight
        place = {"bias": False, "device": weight.device, "dtype": weight.dtype}
        # PyTorch draws a new linear layer by Kaiming's rule, U(-1/sqrt(n), 1/sqrt(n)).
        linear.lora_a = nn.Linear(linear.in_features, rank, **place)
        linear.lora_b = nn.Linear(rank, linear.out_features, **place)
        nn.init.zeros_(linear.lora_b.weight)
        linear.lora_dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        linear.scale = scale
        linear.__class__ = cls
        linear.lora_magnitude_vector = nn.Parameter(_row_norms(weight.detach()))

    @torch.no_grad()
    def row_norms(self) -> torch.Tensor:
        """Return ||W + s B A|| of each output unit, of shape (out,), in the weights' precision."""
        # Autocast would multiply B by A in half precision, and the norm divides the whole layer.
        with torch.autocast(self.weight.device.type, enabled=False):
            direction = torch.addmm(
                self.weight, self.lora_b.weight, self.lora_a.weight, alpha=self.scale
            )
        return _row_norms(direction)

    def gain(self) -> torch.Tensor:
        """Return m / ||W + s B A||, of shape (out,)."""
        return self.lora_magnitude_vector / self.row_norms()

    def change(self) -> torch.Tensor:
        """Return W' - W, of shape (out, in)."""
        direction = self.weight + self.scale * (self.lora_b.weight @ self.lora_a.weight)
        return self.gain().unsqueeze(1) * direction - self.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return W' x + b for ``x`` of shape (..., in).

        W' is never formed: its gradient would cost as much as full fine-tuning. The gain goes into
        B, which is small, and into one multiplication of W x.
        """
        gain = self.gain()
        base = functional.linear(x, self.weight.detach())
        up = self.lora_b.weight * (self.scale * gain).unsqueeze(1)
        low = functional.linear(self.lora_a(self.lora_dropout(x)), up, self.bias)
        # In mixed precision the gain stays in float32: rounded to bfloat16 it could not be 1.001.
        output = torch.addcmul(low, base, gain).to(base.dtype)
        if self.weight.requires_grad:
            # Asked for the gradient of its weight, the layer gives that of W', not of W.
            probe = functional.linear(x.detach(), self.weight)
            output = output + (probe - probe.detach())
        return output


def _row_norms(matrix: torch.Tensor) -> torch.Tensor:
    precise = torch.promote_types(matrix.dtype, torch.float32)
    return torch.linalg.vector_norm(matrix, dim=1, dtype=precise).to(matrix.dtype)
