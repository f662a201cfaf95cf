"""The linear layers of a block of the Llama family: those that adapters can be given to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from jadapt.core.declarations import Distinct, Field

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TargetModules = Annotated[
    list[Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]],
    Distinct,
    Field(
        min_length=1,
        description="Linear layers that get an adapter.",
        examples=[list(LINEAR_LAYERS)],
        json_schema_extra={"uniqueItems": True},
    ),
]


def linear_shapes(shape: PretrainedConfig) -> dict[str, tuple[int, int]]:
    """Return (outputs, inputs) of the linear layers of a block of the Llama family, by name."""
    hidden, heads = shape.hidden_size, shape.num_attention_heads
    head_size = getattr(shape, "head_dim", None) or hidden // heads
    queries = heads * head_size
    keys = (getattr(shape, "num_key_value_heads", None) or heads) * head_size
    return {
        "q_proj": (queries, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "o_proj": (hidden, queries),
        "gate_proj": (shape.intermediate_size, hidden),
        "up_proj": (shape.intermediate_size, hidden),
        "down_proj": (hidden, shape.intermediate_size),
    }
