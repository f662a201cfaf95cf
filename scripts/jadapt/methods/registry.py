"""The one list of methods and strategies. A new one is a module beside this one and a line here."""

from __future__ import annotations

from jadapt.errors import UserError, nearest
from jadapt.methods.base import Method
from jadapt.methods.den import DEN
from jadapt.methods.dora import DoRA
from jadapt.methods.ewc import EWC, L2, OnlineEWC
from jadapt.methods.gem import AGEM, GEM
from jadapt.methods.houlsby import Houlsby
from jadapt.methods.lora import LoRA
from jadapt.methods.prefix import Prefix
from jadapt.methods.rehearsal import Joint, Replay
from jadapt.methods.sft import SFT
from jadapt.methods.strategy import Strategy

# How the model is parameterised: what exists and what trains.
METHODS: dict[str, type[Method]] = {
    "sft": SFT,
    "lora": LoRA,
    "dora": DoRA,
    "houlsby": Houlsby,
    "prefix": Prefix,
    "den": DEN,
}
# What is done against forgetting; any number of them compose with one method.
STRATEGIES: dict[str, type[Strategy]] = {
    "joint": Joint,
    "replay": Replay,
    "l2": L2,
    "ewc": EWC,
    "online_ewc": OnlineEWC,
    "gem": GEM,
    "agem": AGEM,
}


def create(name: str, settings: dict) -> Method:
    """Return the method ``name`` with its hyperparameters taken from ``settings``."""
    if name not in METHODS:
        raise UserError(f"methods: unknown method '{name}'{nearest(name, METHODS)}")
    return METHODS[name](settings)


def create_strategies(settings: dict[str, dict], method: str) -> list[Strategy]:
    """Return the strategies of a run, in the order of the configuration.

    Args:
        settings: hyperparameters by the strategy's name, the ``continual`` of a method's entry.
        method: name of the method that they are to compose with.
    """
    found = []
    for name, own in settings.items():
        if name not in STRATEGIES:
            raise UserError(f"continual: unknown strategy '{name}'{nearest(name, STRATEGIES)}")
        if method not in STRATEGIES[name].composes_with:
            raise UserError(
                f"continual: '{name}' is not defined for method '{method}'; it composes with "
                f"{', '.join(STRATEGIES[name].composes_with)}"
            )
        found.append(STRATEGIES[name](own))
    return found
