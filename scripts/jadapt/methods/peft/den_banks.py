"""The banks of a whole model: attached, found, and the seed of what they draw."""

from __future__ import annotations

import torch
from torch import nn

from jadapt.core.errors import UserError
from jadapt.methods.parameters import Transform
from jadapt.methods.peft.den_units import UnitBank, attach, banks


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
