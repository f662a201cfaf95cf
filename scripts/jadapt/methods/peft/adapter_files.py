"""Adapters on disk that have no format of their own elsewhere: a description and the tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, write_json

if TYPE_CHECKING:
    import torch

    from jadapt.core.declarations import Settings

# Of adapters in PEFT's format, which LoRA and DoRA are kept in.
PEFT_CONFIG = "adapter_config.json"
PEFT_WEIGHTS = "adapter_model.safetensors"
DESCRIPTION = "method.json"
WEIGHTS = "adapter.safetensors"


def write(
    directory: Path, method: str, settings: Settings, tensors: dict[str, torch.Tensor]
) -> None:
    """Write ``method.json`` (name and hyperparameters) and ``adapter.safetensors``."""
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, directory / WEIGHTS, metadata={"format": "pt"})
    write_json(
        directory / DESCRIPTION,
        {"method": method, "settings": settings.model_dump(exclude_unset=True)},
    )


def read(directory: Path, method: str) -> dict[str, torch.Tensor]:
    """Read the tensors of an adapter of this method.

    Raises:
        UserError: the folder holds another method's adapter, or none.
    """
    from safetensors.torch import load_file

    if not (directory / DESCRIPTION).exists():
        raise UserError(f"{directory}: no adapter here; delete the folder and run again")
    found = read_json(directory / DESCRIPTION)["method"]
    if found != method:
        raise UserError(f"{directory}: an adapter of '{found}', not of '{method}'; delete it")
    return load_file(directory / WEIGHTS)
