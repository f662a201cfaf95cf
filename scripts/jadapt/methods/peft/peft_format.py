"""Low-rank adapters on disk in the format of the ``peft`` package, readable without this project.

Factors that started as the principal part of the weights (PiSSA) only make sense beside what was
left of these. What is kept is the change of the published weights instead, s (B A - B0 A0): an
adapter of twice the rank with the factors [B, -B0] and [A; A0], as PEFT converts its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from jadapt.core.errors import UserError
from jadapt.core.files import read_json, write_json
from jadapt.methods.parameters import load_trainable, trainable_state
from jadapt.methods.peft.adapter_files import PEFT_CONFIG, PEFT_WEIGHTS
from jadapt.methods.peft.lora_layers import adapted_layers, embeddings
from jadapt.methods.peft.principal import STARTED_A, STARTED_B, start_from

_CHECKED = ("r", "lora_alpha", "use_dora", "use_rslora")


def peft_name(name: str) -> str:
    """Translate the name of an adapter's parameter into PEFT's."""
    renamed = name.replace(".lora_a.", ".lora_A.").replace(".lora_b.", ".lora_B.")
    return f"base_model.model.{renamed}"


def doubled(described: dict[str, Any]) -> dict[str, Any]:
    """Return rank and alpha of an adapter of twice the rank with the same scale."""
    factor = 2**0.5 if described.get("use_rslora") else 2
    return {"r": 2 * described["r"], "lora_alpha": described["lora_alpha"] * factor}


def saved_modules(model: PreTrainedModel) -> dict[str, Any]:
    """Return what tells PEFT that the embeddings are in the adapter."""
    names = [name.removesuffix(".weight").rpartition(".")[2] for name in embeddings(model)]
    tied = {"ensure_weight_tying": True} if model.config.tie_word_embeddings else {}
    return {"modules_to_save": names, **tied}


def save(model: PreTrainedModel, directory: Path, described: dict[str, Any]) -> None:
    """Write what trains in ``model`` with its description."""
    directory.mkdir(parents=True, exist_ok=True)
    state = trainable_state(model)
    for name, layer in adapted_layers(model):
        if STARTED_A in layer._buffers:
            a, b = f"{name}.lora_a.weight", f"{name}.lora_b.weight"
            state[a] = torch.cat([state[a], getattr(layer, STARTED_A)])
            state[b] = torch.cat([state[b], -getattr(layer, STARTED_B)], dim=1)
    tensors = {peft_name(name): tensor.contiguous().cpu() for name, tensor in state.items()}
    if described.get("ensure_weight_tying"):
        # PEFT asks for the matrix under both of its names, and ties them again.
        (embedding,) = embeddings(model)
        tensors[peft_name("lm_head.weight")] = tensors[peft_name(embedding)].clone()
    save_file(tensors, directory / PEFT_WEIGHTS, metadata={"format": "pt"})
    write_json(
        directory / PEFT_CONFIG,
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            **described,
            "bias": "none",
            "fan_in_fan_out": False,
            "base_model_name_or_path": None,
        },
    )


def restore(
    model: PreTrainedModel, directory: Path, described: dict[str, Any], scale: float
) -> None:
    """Read what `save` wrote into a model that carries the same adapter.

    Raises:
        UserError: the adapter has another rank, scale or kind, or other layers.
    """
    stored = read_json(directory / PEFT_CONFIG)
    for key in _CHECKED:
        expected = described.get(key, False)
        if stored.get(key, False) != expected:
            raise UserError(
                f"{directory / PEFT_CONFIG}: {key} is {stored.get(key)}, not {expected}; "
                "it belongs to another method: delete the folder and run again"
            )
    tensors = load_file(directory / PEFT_WEIGHTS)
    names = trainable_state(model)
    state = {name: tensors[key] for name in names if (key := peft_name(name)) in tensors}
    for name, layer in adapted_layers(model):
        a, b = f"{name}.lora_a.weight", f"{name}.lora_b.weight"
        if STARTED_A in layer._buffers and {a, b} <= set(state):
            state[a], started_a = state[a].chunk(2)
            state[b], started_b = state[b].chunk(2, dim=1)
            start_from(layer, started_a, -started_b, scale)
    load_trainable(model, state, directory)
