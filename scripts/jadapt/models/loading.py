"""Read models in the format of Hugging Face: base models and whole checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from jadapt.core.errors import UserError


def checkpoint(directory: Path) -> PreTrainedModel:
    """Load a Hugging Face checkpoint in float32.

    Raises:
        UserError: the folder has none.
    """
    if not (directory / "config.json").exists():
        raise UserError(f"{directory}: no model here; delete the folder and run again")
    return AutoModelForCausalLM.from_pretrained(
        directory, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    )


def check_sequence_length(directory: Path, sequence_length: int) -> None:
    """Raise a `UserError` when rows of ``sequence_length`` are longer than the model reads."""
    longest = AutoConfig.from_pretrained(directory, local_files_only=True).max_position_embeddings
    if sequence_length > longest:
        raise UserError(
            f"training.sequence_length: {sequence_length} is above the model's "
            f"max_position_embeddings {longest}; lower it or choose another model"
        )
