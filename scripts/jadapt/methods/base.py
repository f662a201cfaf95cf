"""What every adaptation method is: which parameters exist, which train, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from jadapt.errors import UserError

Transform = Callable[[nn.Module], nn.Module]


class Method:
    """Full fine-tuning, and the base of the other methods: nothing added, everything trains.

    A subclass overrides what it changes. ``hyperparameters`` names its keys in the configuration,
    which ``config/schemas/methods.schema.json`` describes.
    """

    hyperparameters: tuple[str, ...] = ()

    def __init__(self, settings: dict):
        self.settings = {key: settings[key] for key in self.hyperparameters if key in settings}

    def transform(self) -> Transform | None:
        """Return NeMo's ``model_transform`` that adds and freezes parameters, or None."""
        return None

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write what this method trained: here a whole Hugging Face checkpoint."""
        model.save_pretrained(directory)

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read back into ``model`` what `save` wrote."""
        load_trainable(model, load_file(directory / "model.safetensors"), directory)


def trainable_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the trainable parameters of ``model`` by name, detached, tied ones once."""
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def load_trainable(model: nn.Module, state: dict[str, torch.Tensor], origin: object) -> None:
    """Copy ``state`` into the trainable parameters of ``model``; the names must be the same."""
    expected = set(trainable_state(model))
    # A checkpoint may also list a tied matrix under its second name; the first one decides.
    missing = sorted(expected - set(state))
    if missing:
        raise UserError(
            f"{origin}: {len(missing)} trained parameters are missing, first {missing[0]}; "
            "it belongs to another method or model: delete it and run again"
        )
    model.load_state_dict({name: state[name] for name in expected}, strict=False)
