"""What makes training faster and smaller without changing what is computed (`training.fast`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fast:
    """The section ``training.fast`` of a study; a key left out is off.

    ``cross_entropy_chunk`` counts the positions whose logits exist at once (0: all of them).
    ``flash_attention`` leaves the mask out of batches whose rows hold one document each.
    ``deterministic`` keeps to kernels that give the same digits in every run.
    """

    cross_entropy_chunk: int = 0
    compile_layers: bool = False
    flash_attention: bool = False
    fused_optimiser: bool = False
    deterministic: bool = True

    @classmethod
    def of(cls, settings: dict) -> Fast:
        """Read the section of a run's settings."""
        return cls(**settings.get("fast", {}))
