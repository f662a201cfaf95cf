"""What makes training faster and smaller without changing what is computed (`training.fast`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fast:
    """The section ``training.fast`` of a study; a key left out is off.

    ``cross_entropy_chunk`` counts the positions whose logits exist at once (0: all of them).
    ``compile_layers`` compiles each decoder layer and the last norm; ``activation_budget`` is the
    share of the activations that compiled layers keep for the backward pass (1: those that it
    needs, less: cheap ones are computed again). ``fuse_projections`` makes one matrix product of
    those that read the same input (of trained ones, of queries, keys and values only), and of
    LoRA's with them.
    ``cuda_graphs`` records the step once and replays it, for methods that do not change the model
    while it trains.
    ``flash_attention`` takes kernels without a mask. ``deterministic`` keeps to kernels that give
    the same digits in every run.
    """

    cross_entropy_chunk: int = 0
    compile_layers: bool = False
    activation_budget: float = 1.0
    fuse_projections: bool = False
    cuda_graphs: bool = False
    flash_attention: bool = False
    fused_optimiser: bool = False
    deterministic: bool = True

    @classmethod
    def of(cls, settings: dict) -> Fast:
        """Read the section of a run's settings."""
        return cls(**settings.get("fast", {}))
