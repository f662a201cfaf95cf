"""The methods and strategies: every class of these folders with a ``key``, and installed ones.

A new one is a file in ``peft/`` or ``continual/``, or a package of its own with an entry point in
the group ``jadapt.methods`` or ``jadapt.strategies``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jadapt.core.errors import UserError
from jadapt.core.registry import Registry
from jadapt.methods.base import Method
from jadapt.methods.strategy import Strategy

# How the model is parameterised: what exists and what trains.
METHODS = Registry(
    "method", ("jadapt.methods.full", "jadapt.methods.peft"), "jadapt.methods", ("key",)
)
# What is done against forgetting; any number of them compose with one method.
STRATEGIES = Registry("strategy", ("jadapt.methods.continual",), "jadapt.strategies", ("key",))


def create(name: str, settings: dict) -> Method:
    """Return the method ``name`` with its hyperparameters taken from ``settings``."""
    return METHODS.get_or_refuse(name, "methods")(settings)


def create_strategies(settings: dict[str, dict], method: str) -> list[Strategy]:
    """Return the strategies of a run, in the order of the configuration.

    Args:
        settings: hyperparameters by the strategy's name, the ``continual`` of a method's entry.
        method: name of the method that they are to compose with.
    """
    found = []
    for name, own in settings.items():
        strategy = STRATEGIES.get_or_refuse(name, "continual")
        if method not in strategy.composes_with:
            raise UserError(
                f"continual: '{name}' is not defined for method '{method}'; it composes with "
                f"{', '.join(strategy.composes_with)}"
            )
        found.append(strategy(own))
    return found


def modules_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the modules of a run's method and strategies, sorted, without importing them.

    Args:
        settings: with ``method`` and, where there are strategies, ``continual``.
    """
    strategies = settings.get("continual") or {}
    own = METHODS.module(settings["method"])
    return sorted({own, *(STRATEGIES.module(name) for name in strategies)})
