"""Which strategies go with which method, by what both declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jadapt.core.declarations import FAST, METHODS, STRATEGIES
from jadapt.core.errors import UserError


def check(method: str, strategies: Iterable[str]) -> None:
    """Refuse strategies that change what the method does not support.

    Raises:
        UserError: one line, which begins with ``continual``; it names what goes instead.
    """
    supports = METHODS.get_or_refuse(method, "method").allows()
    for name in strategies:
        changes = STRATEGIES.get_or_refuse(name, "continual").changes
        if changes <= supports:
            continue
        raise UserError(
            f"continual: '{name}' is not defined for method '{method}'; it composes with "
            f"{', '.join(methods_of(name))}, which allow it to change the "
            f"{' and '.join(sorted(changes))}"
        )


def check_fast(settings: Mapping[str, Any]) -> None:
    """Refuse keys of ``training.fast`` that the method or a strategy of a run does not work with.

    Raises:
        UserError: its text begins with the key, as it stands in a run's settings.
    """
    parts = {settings["method"]: METHODS[settings["method"]]}
    parts |= {name: STRATEGIES[name] for name in settings.get("continual", {})}
    for key, value in settings.get("fast", {}).items():
        for name, declared in parts.items():
            if value and key in FAST - declared.fast:
                off = "0" if key == "cross_entropy_chunk" else "false"
                raise UserError(f"fast.{key}: does not go with '{name}'; set it to {off}")


def methods_of(strategy: str) -> list[str]:
    """Return the methods that a strategy composes with, in the order of their declarations."""
    changes = STRATEGIES[strategy].changes
    found = [key for key in METHODS if changes <= METHODS[key].allows()]
    return sorted(found, key=lambda key: (METHODS[key].order, METHODS[key].label))


def strategies_of(method: str) -> list[str]:
    """Return the strategies that a method composes with, in the order of their declarations."""
    supports = METHODS[method].allows()
    found = [key for key in STRATEGIES if STRATEGIES[key].changes <= supports]
    return sorted(found, key=lambda key: (STRATEGIES[key].order, STRATEGIES[key].label))
