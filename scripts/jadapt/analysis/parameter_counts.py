"""Parameters of Qwen2-shaped models and of LoRA on them, counted matrix by matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from jadapt.analysis.expressions import LAYERS


def matrices(shape: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return (inputs, outputs) of each linear layer of one block."""
    width, inner = shape["hidden_size"], shape["intermediate_size"]
    queries = shape["attention_heads"] * shape["head_size"]
    keys = shape["key_value_heads"] * shape["head_size"]
    return {
        "q_proj": (width, queries),
        "k_proj": (width, keys),
        "v_proj": (width, keys),
        "o_proj": (queries, width),
        "gate_proj": (width, inner),
        "up_proj": (width, inner),
        "down_proj": (inner, width),
    }


def total_parameters(shape: Mapping[str, int]) -> int:
    """Count all parameters of a Qwen2-shaped model.

    Queries, keys and values have biases; a block has two norms, the model one more; the embedding
    is shared with the output.
    """
    layers = matrices(shape)
    width = shape["hidden_size"]
    weights = sum(inputs * outputs for inputs, outputs in layers.values())
    biases = sum(layers[name][1] for name in ("q_proj", "k_proj", "v_proj"))
    block = weights + biases + 2 * width
    return shape["vocabulary_size"] * width + shape["layers"] * block + width


def lora_parameters(shape: Mapping[str, int], rank: int, names: Iterable[str]) -> int:
    """Count the parameters of LoRA: r (m + n) for a matrix of m inputs and n outputs."""
    layers = matrices(shape)
    return shape["layers"] * sum(int(rank) * sum(layers[name]) for name in names)


def lora_choices(shape: Mapping[str, int], rank: int, count: float) -> int:
    """Count the choices of matrices, the same in every block, on which LoRA has so many parameters.

    Of the seven matrices of a block there are 127 choices.
    """
    return sum(
        lora_parameters(shape, rank, chosen) == count
        for size in range(1, len(LAYERS["all"]) + 1)
        for chosen in combinations(LAYERS["all"], size)
    )
