"""Models built from a configuration, with weights drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from jadapt.core.errors import UserError, nearest

ARCHITECTURES = {"qwen2": (Qwen2Config, Qwen2ForCausalLM)}


def build(settings: dict, vocabulary_size: int, special_ids: dict[str, int]) -> PreTrainedModel:
    """Build a model with random weights, in float32, on the current default device.

    Args:
        settings: an entry of ``config/models.yaml`` of kind ``scratch``.
        vocabulary_size: rows of the embedding.
        special_ids: ``bos_token_id``, ``eos_token_id`` and ``pad_token_id`` of the tokenizer.

    Raises:
        UserError: the architecture is unknown or the sizes do not fit together.
    """
    shape = {key: value for key, value in settings.items() if key not in ("kind", "architecture")}
    name = settings["architecture"]
    if name not in ARCHITECTURES:
        raise UserError(
            f"config/models.yaml: architecture '{name}' is unknown{nearest(name, ARCHITECTURES)}"
        )
    heads = shape["num_attention_heads"]
    for key, divisor in (
        ("hidden_size", heads),
        ("num_attention_heads", shape["num_key_value_heads"]),
    ):
        if shape[key] % divisor:
            raise UserError(
                f"config/models.yaml: {key} {shape[key]} is not a multiple of {divisor}"
            )
    config_class, model_class = ARCHITECTURES[name]
    # The cache serves generation only, and its presence would switch off the block-diagonal mask
    # that keeps packed documents apart.
    config = config_class(
        vocab_size=vocabulary_size, use_cache=False, torch_dtype="float32", **shape, **special_ids
    )
    return model_class(config)


def prepare(
    settings: dict, vocabulary_size: int, special_ids: dict[str, int], seed: int, directory: Path
) -> None:
    """Write a freshly drawn model as a Hugging Face checkpoint (config.json, model.safetensors)."""
    torch.manual_seed(seed)
    build(settings, vocabulary_size, special_ids).save_pretrained(directory)
