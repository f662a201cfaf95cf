"""Optimisations of speed and memory that leave the computed values alone (`training.fast`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fast:
    """The section ``training.fast`` of a study; a key that is left out is off.

    Attributes:
        cross_entropy_chunk: number of positions whose logits exist at the same time (0: all).
        compile_layers: compile each decoder layer and the final norm.
        activation_budget: fraction of the activations that compiled layers keep for the backward
            pass (1 keeps all that it needs; less recomputes the cheap ones).
        fuse_projections: compute linear layers that read the same input as one matrix product,
            LoRA's updates included. Layers that train are fused only for queries, keys and values.
        cuda_graphs: record a training step once and replay it; only for methods that leave the
            model's structure alone while a task trains.
        flash_attention: use attention kernels that take no mask.
        fused_optimiser: run AdamW as one kernel over many parameters.
        deterministic: use only kernels that return the same bits in every run.
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
        """Read the section from the settings of a run."""
        return cls(**settings.get("fast", {}))
