"""What a run processes: tokens and floating-point operations, its strategies' passes included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import PreTrainedModel

from jadapt.methods.strategy import Strategy
from jadapt.training.flops import Shape, Work, matrix_weights, task_work


def shape_of(model: PreTrainedModel, base: Path, sequence_length: int) -> Shape:
    """Return what a pass over a model in training costs depends on.

    Args:
        model: with a method's parameters.
        base: the checkpoint that it started from; what is not in it was added.
        sequence_length: tokens of a row.
    """
    with safe_open(base / "model.safetensors", framework="pt") as stored:
        known = set(stored.keys())
    parameters = dict(model.named_parameters())
    own = {name: p for name, p in parameters.items() if name in known}
    config = model.config
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        weights=matrix_weights(
            sum(p.numel() for p in own.values()),
            sum(p.numel() for p in own.values() if p.ndim == 1),
            model.get_input_embeddings().weight.numel(),
            config.tie_word_embeddings,
        ),
        layers=config.num_hidden_layers,
        width=heads * size,
        sequence_length=sequence_length,
        added=sum(p.numel() for name, p in parameters.items() if name not in known),
        frozen=not all(p.requires_grad for p in own.values() if p.ndim > 1),
    )


def task_processed(
    shape: Shape, settings: Mapping[str, Any], strategies: Sequence[Strategy], place: int
) -> Work:
    """Return the work of the task at ``place`` of a run's sequence (0 is the first).

    After the last task nothing is noted; before the first one, the source domain is.
    """
    noted = (place == 0) + (place + 1 < len(settings["sequence"]))
    costs = [strategy.cost(place + 1) for strategy in strategies]
    return task_work(shape, settings["steps"], settings["global_batch_size"], costs, noted)
