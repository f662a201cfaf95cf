"""Read the models that the runs leave behind: whole checkpoints, or a base model and an adapter."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from jadapt.errors import UserError

ADAPTER_CONFIG = "adapter_config.json"


def load(directory: Path, base: Path) -> PreTrainedModel:
    """Load the model of ``directory`` for evaluation, in float32.

    Args:
        directory: a Hugging Face checkpoint, or an adapter in PEFT's format.
        base: the checkpoint that an adapter belongs to; unused for a whole model.

    Returns:
        The model in evaluation mode, an adapter merged into it, the key-value cache off.
    """
    if (directory / ADAPTER_CONFIG).exists():
        from peft import PeftModel

        # PEFT's own loader, so that what is evaluated is what any user of the adapter gets.
        model = PeftModel.from_pretrained(_checkpoint(base), directory).merge_and_unload()
    else:
        model = _checkpoint(directory)
    model.config.use_cache = False
    return model.eval()


def _checkpoint(directory: Path) -> PreTrainedModel:
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
