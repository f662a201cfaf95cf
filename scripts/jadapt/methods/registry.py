"""The methods and strategies of a run, made from its settings.

`METHODS` and `STRATEGIES` find every class of these folders with a ``key``, and installed ones. A
new one is a file in ``peft/`` or ``continual/``, or a package of its own with an entry point in the
group ``jadapt.methods`` or ``jadapt.strategies``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jadapt.config import composition
from jadapt.core.declarations import METHODS, STRATEGIES
from jadapt.core.errors import UserError
from jadapt.methods.base import Method
from jadapt.methods.strategy import Strategy

__all__ = ["METHODS", "STRATEGIES", "create", "create_strategies", "modules_of"]


def create(name: str, settings: Mapping[str, Any]) -> Method:
    """Return the method ``name`` with its hyperparameters taken from ``settings``."""
    return METHODS.get_or_refuse(name, "methods")(settings)


def create_strategies(settings: Mapping[str, Mapping[str, Any]], method: str) -> list[Strategy]:
    """Return the strategies of a run, in the order of the configuration.

    Args:
        settings: hyperparameters by the strategy's name, the ``continual`` of a method's entry.
        method: name of the method that they are to compose with.
    """
    composition.check(method, settings)
    found = []
    for name, own in settings.items():
        try:
            found.append(STRATEGIES[name](own))
        except UserError as error:
            raise UserError(f"continual.{name}.{error}") from None
    return found


def modules_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the modules of a run's method and strategies, sorted, without importing them.

    Args:
        settings: with ``method`` and, where there are strategies, ``continual``.
    """
    strategies = settings.get("continual") or {}
    own = METHODS.module(settings["method"])
    return sorted({own, *(STRATEGIES.module(name) for name in strategies)})
