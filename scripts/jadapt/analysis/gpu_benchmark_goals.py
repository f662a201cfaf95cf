"""The goals that training on one GPU was built to, and whether what was measured meets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What the program was built to reach on a card, by goal; ratios, and shares from 0 to 1.
GOALS = {
    "tuning_same_batch": 1.6, "tuning_best_batch": 1.9, "low_rank_same_batch": 2.5,
    "low_rank_memory": 0.4, "utilisation": 0.45, "loader": 0.02, "low_rank_speed": 1.0,
    "two_gpus": 1.8,
}  # fmt: skip
# How a value has to stand to its goal where that is not "at least".
RELATIONS = {"low_rank_memory": "at most", "loader": "below", "low_rank_speed": "above"}
WORDS = {
    "tuning_same_batch": "full fine-tuning, tokens per second over the plain loop's, same batch",
    "tuning_best_batch": "full fine-tuning, tokens per second over the plain loop's, best batches",
    "low_rank_same_batch": "LoRA, tokens per second over the plain loop's, same batch",
    "low_rank_memory": "LoRA, peak memory over the plain loop's, same batch",
    "utilisation": "full fine-tuning, share of the card's peak at the best batch",
    "loader": "largest share of the time that training waits for its rows",
    "low_rank_speed": "LoRA, tokens per second over those of full fine-tuning, at every batch",
    "two_gpus": "two GPUs, tokens per second over those of one, in every case",
}
SHARES = ("utilisation", "loader")


@dataclass(frozen=True)
class Goal:
    """A goal and what was measured; ``name`` is its key in `GOALS`."""

    name: str
    relation: str
    value: float
    share: bool

    @property
    def words(self) -> str:
        """What it is about."""
        return WORDS[self.name]

    @property
    def holds(self) -> bool:
        """Whether the measured value meets it."""
        limit = GOALS[self.name]
        return {
            "at least": self.value >= limit, "at most": self.value <= limit,
            "below": self.value < limit, "above": self.value > limit,
        }[self.relation]  # fmt: skip


def judged(values: Mapping[str, float | None]) -> list[Goal]:
    """Return the goals that have a value, in the order of `GOALS`."""
    return [
        Goal(name, RELATIONS.get(name, "at least"), value, name in SHARES)
        for name in GOALS
        if (value := values.get(name)) is not None and value == value
    ]
