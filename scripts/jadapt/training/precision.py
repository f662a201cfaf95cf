"""Lightning's precision plugins, adapted to models that are loaded in their training precision.

``32-true``, ``bf16-true``: weights, gradients, optimiser and arithmetic in one type.
``bf16-mixed``, ``16-mixed``: weights and optimiser in float32, matrix products in 16 bits; float16
has a small range, so its loss is scaled by a factor that follows what overflows.
"""

from __future__ import annotations

import torch
from lightning.pytorch.plugins.precision import HalfPrecision, MixedPrecision, Precision

from jadapt.core.errors import UserError

# Tensor cores for bfloat16 came with Ampere.
BF16_CAPABILITY = (8, 0)


class LoadedInHalf(HalfPrecision):
    """bf16-true for a model whose weights are bfloat16 already.

    Lightning's own plugin would also round the rotary frequencies, which are float32 in every
    published model, and would thereby blur the positions of distant tokens.
    """

    def convert_module(self, module: torch.nn.Module) -> torch.nn.Module:
        """Leave the module as it is."""
        return module


def dtype(precision: str) -> torch.dtype:
    """Return the data type in which weights are loaded."""
    return torch.bfloat16 if precision == "bf16-true" else torch.float32


def check(settings: dict) -> None:
    """Raise a `UserError` when the hardware does not support the ``precision`` of a run."""
    precision = settings["precision"]
    if settings["accelerator"] == "cpu":
        if precision == "16-mixed":
            raise UserError(
                "training.precision: 16-mixed needs a GPU; use 32-true or bf16-mixed on a CPU"
            )
        return
    if not precision.startswith("bf16"):
        return
    for number in range(settings["devices"]):
        capability = torch.cuda.get_device_capability(number)
        if capability < BF16_CAPABILITY:
            raise UserError(
                f"training.precision: {precision} needs compute capability 8.0 or later, "
                f"{torch.cuda.get_device_name(number)} has "
                f"{'.'.join(map(str, capability))}; use 16-mixed or 32-true"
            )


def plugin(precision: str, accelerator: str) -> Precision:
    """Return the plugin for one of Lightning's names, on ``cpu`` or ``gpu``."""
    device = "cuda" if accelerator == "gpu" else "cpu"
    if precision == "bf16-true":
        return LoadedInHalf("bf16-true")
    if precision == "bf16-mixed":
        return MixedPrecision("bf16-mixed", device)
    if precision == "16-mixed":
        return MixedPrecision("16-mixed", device, scaler=torch.amp.GradScaler(device))
    return Precision()


def scale(plugin: Precision) -> float | None:
    """Return the present loss scale, or None without a loss scaler."""
    scaler = getattr(plugin, "scaler", None)
    return None if scaler is None else scaler.get_scale()
