"""Weights between those before and after a task, taken when it is over (Wortsman et al., 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jadapt.core.declarations import WEIGHTS, Field, Look, Number, Settings
from jadapt.methods.strategy import Context, Cost, Strategy

if TYPE_CHECKING:
    import torch

_LOST = "lost"


class WiSE(Strategy):
    """theta* + share * (theta - theta*) once a task is over, theta* being the weights before it.

    Each task is trained in full and starts where the interpolation of the task before ended. What
    is interpolated is for the method to say (`Method.interpolate`).
    """

    key = "wise"
    label = "Interpolated weights"
    family = "regularisation"
    order = 148
    look = Look("#b8860b", "*", (0, (3, 1, 1, 1)))
    # Nothing within a step.
    benchmarked = False
    summary = "After each task, weights between those before and after it."
    paragraph = r"""
    *Interpolated weights.* When a task is over, its change of the parameters is kept in part,
    $theta^* + s (theta - theta^*)$ with a share $s$ @wise. Training is as without it and costs
    nothing more. With LoRA the change of the weights is interpolated; what lies between updates
    of equal rank has up to twice that rank, and the nearest update of their own rank is taken.
    """
    citation = "wise"
    changes = frozenset({WEIGHTS})
    stores = "the weights after the task before, while a task trains"
    processes = "nothing; one pass over the weights at the end of a task"

    class Hyperparameters(Settings):
        """Of the interpolation."""

        share: Number = Field(
            examples=[0.5], ge=0, le=1, description="Share of a task's change that is kept."
        )

    def __init__(self, settings: dict):
        super().__init__(settings)
        self._before: dict[str, torch.Tensor] = {}
        self._lost: float | None = None

    def cost(self, earlier: int) -> Cost:
        """Return one copy of the weights."""
        return Cost(stored_copies=1)

    def begin_task(self, context: Context, earlier: Sequence[str], index: int) -> None:
        """Keep what trains, as it is before the task's first step; also when one is resumed."""
        state = context.method.state(context.model)
        self._before = {name: tensor.clone() for name, tensor in state.items()}

    def finish_task(self, context: Context) -> None:
        """Put the weights between those of the task's start and its end."""
        share = float(self.settings.share)
        self._lost = context.method.interpolate(context.model, self._before, share)
        self._before = {}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return how much of the last change could not be kept."""
        import torch

        return {} if self._lost is None else {_LOST: torch.tensor(self._lost, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state_dict` returned."""
        self._lost = float(state[_LOST]) if _LOST in state else None

    def measures(self) -> dict[str, float]:
        """Return what the interpolation after the task before had to leave out, relative to it."""
        return {} if self._lost is None else {"left_out": self._lost}
