"""The banks of a whole model: attached, found, kept, and the seed of what they draw."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from jadapt.core.errors import UserError
from jadapt.methods.parameters import Transform
from jadapt.methods.peft.den_units import UnitBank, attach, banks

_SEED = "seed"


def attach_to(targets: frozenset[str], name: str | None, module: nn.Module) -> None:
    """Give ``module`` an empty bank if it is a linear layer with a name among ``targets``."""
    if name in targets and isinstance(module, nn.Linear):
        attach(module)


def nemo_transform(targets: frozenset[str]) -> Transform:
    """Return a NeMo transform that gives the target layers empty banks and freezes the rest."""
    from nemo.lightning.pytorch.callbacks.peft import PEFT

    class RankOneUnits(PEFT):
        """NeMo's walk over the modules, one call each."""

        def transform(
            self, module: nn.Module, name: str | None = None, prefix: str | None = None
        ) -> nn.Module:
            """Attach a bank to ``module`` if it is a target layer."""
            attach_to(targets, name, module)
            return module

    return RankOneUnits()


def banks_of(model: nn.Module) -> dict[str, UnitBank]:
    """Return the bank of each target layer by its name; there has to be one."""
    found = dict(banks(model))
    if not found:
        raise UserError("den.target_modules: the model has none of these layers; change the list")
    return found


def seed_of(found: dict[str, UnitBank]) -> int:
    """Return the seed of all draws: drawn once a run, then kept in adapters and checkpoints."""
    known = next(iter(found.values())).seed
    return int(torch.randint(2**62, (), device="cpu")) if known is None else known


def finished(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the finished units of all banks, their stamps and gates, and the seed."""
    found = banks_of(model)
    tensors = {
        f"{layer}.{name}": tensor
        for layer, bank in found.items()
        for name, tensor in bank.stored().items()
    }
    return {**tensors, _SEED: torch.tensor(seed_of(found))}


def load_finished(model: nn.Module, tensors: dict[str, torch.Tensor], origin: Path) -> None:
    """Take back what `finished` returned.

    Raises:
        UserError: it belongs to other layers or sizes.
    """
    found = banks_of(model)
    expected = {f"{layer}.{key}" for layer, bank in found.items() for key in bank.stored()}
    for name in sorted(expected.symmetric_difference(set(tensors) - {_SEED})):
        raise UserError(
            f"{origin}: its target layers are others than den.target_modules "
            f"({name}); delete it and run again"
        )
    for layer, bank in found.items():
        if tensors[f"{layer}.a"].shape[1] != bank.inputs:
            raise UserError(f"{origin}: {layer} has another size; delete it and run again")
        bank.load({key: tensors[f"{layer}.{key}"] for key in bank.stored()})
        bank.seed = int(tensors[_SEED])
