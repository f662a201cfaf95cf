"""What methods share that handle a model's parameters: reading, loading, and NeMo's transform."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from transformers import PreTrainedModel

from jadapt.core.errors import UserError

Transform = Callable[[nn.Module], nn.Module]


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
    for name, parameter in model.named_parameters():
        if name in expected and state[name].shape != parameter.shape:
            raise UserError(
                f"{origin}: {name} has the shape {tuple(state[name].shape)}, the model "
                f"{tuple(parameter.shape)}; it belongs to other settings: delete it and run again"
            )
    model.load_state_dict({name: state[name] for name in expected}, strict=False)


def nemo_transform(apply: Callable[[PreTrainedModel], None]) -> Transform:
    """Return a NeMo transform that changes the Hugging Face model within a module in place.

    Args:
        apply: called once with the causal language model; adds parameters and freezes others.
    """
    from nemo.lightning.pytorch.callbacks.peft import PEFT

    class InPlace(PEFT):
        """NeMo freezes the model and walks through its modules, from the outside in."""

        def transform(self, module: nn.Module, name: str | None = None, prefix: str | None = None):
            """Change ``module`` if it is a whole model: its body is a PreTrainedModel as well."""
            if isinstance(module, PreTrainedModel) and module.get_output_embeddings() is not None:
                apply(module)
            return module

    return InPlace()
