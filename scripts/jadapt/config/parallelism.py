"""How one run is spread over several devices (`training.parallelism`), and what that rules out.

Every device is given rows of its own of each optimiser step and holds the whole model (``ddp``) or
a share of its weights, gradients and optimiser (``fsdp2``). Imports nothing heavy, since a
configuration is checked before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping

from jadapt.core.declarations import DDP, FSDP2, METHODS, STRATEGIES
from jadapt.core.errors import UserError

_NEEDS_WHOLE = "needs whole parameters, which fsdp2 divides; use parallelism: ddp"


def kind(settings: Mapping) -> str | None:
    """Return ``ddp`` or ``fsdp2``, or None for a run on one device."""
    if settings.get("devices", 1) == 1:
        return None
    return settings.get("parallelism", DDP)


def check(settings: Mapping) -> None:
    """Refuse what is not the same on several devices as on one.

    Raises:
        UserError: its text begins with the key, as it stands in a run's settings.
    """
    chosen = kind(settings)
    if chosen is None:
        if settings.get("parallelism") == FSDP2:
            raise UserError(
                "parallelism: fsdp2 shares a model among several devices, but devices is 1; leave "
                "parallelism out or raise devices"
            )
        return
    if chosen == DDP:
        return
    if FSDP2 not in METHODS[settings["method"]].parallelism:
        raise UserError(f"method: {settings['method']} {_NEEDS_WHOLE}")
    for name in settings.get("continual", {}):
        if FSDP2 not in STRATEGIES[name].parallelism:
            raise UserError(f"continual.{name}: {_NEEDS_WHOLE}")
    if settings.get("fast", {}).get("fuse_projections"):
        raise UserError(
            "fast.fuse_projections: keeps the weights of several layers in one matrix, which "
            "fsdp2 cannot divide; set it to false"
        )
    if settings.get("fast", {}).get("cuda_graphs"):
        raise UserError(
            "fast.cuda_graphs: fsdp2 gathers weights within a step, which cannot be recorded; set "
            "it to false, or use parallelism: ddp"
        )
    if settings["precision"] == "16-mixed":
        raise UserError(
            "precision: 16-mixed does not go with parallelism fsdp2, whose loss scale would have "
            "to follow every device's gradients; use bf16-mixed, or parallelism ddp"
        )
