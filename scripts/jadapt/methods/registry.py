"""The one list of methods. A new method is a module beside this one and a line here."""

from __future__ import annotations

from jadapt.errors import UserError, nearest
from jadapt.methods.base import Method
from jadapt.methods.lora import LoRA
from jadapt.methods.sft import SFT

METHODS: dict[str, type[Method]] = {"sft": SFT, "lora": LoRA}


def create(name: str, settings: dict) -> Method:
    """Return the method ``name`` with its hyperparameters taken from ``settings``."""
    if name not in METHODS:
        raise UserError(f"methods: unknown method '{name}'{nearest(name, METHODS)}")
    return METHODS[name](settings)
