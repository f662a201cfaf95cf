"""What a continual-learning strategy may do: mix rows, add to the loss, change the gradient, and
change the weights once a task is over.

The order within an optimiser step is fixed: accumulate the gradients of the micro-batches (each
loss with its penalty), unscale them (fp16), all-reduce them over the devices, project, clip, step.
A strategy projects what the optimiser would otherwise see, and the limit on the norm holds for what
it does see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jadapt.core.declarations import Declared

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from jadapt.data.mixing import Stream
    from jadapt.methods.base import Method
    from jadapt.methods.outputs import Outputs

# Named tensors of one shape: ``input_ids``, ``labels`` and ``position_ids``, int64, (rows, T).
Batch = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Context:
    """What a strategy sees of the run, once the model is there.

    Attributes:
        model: the model under training; its trainable parameters have ``requires_grad``.
        method: how the model is parameterised.
        rows: ``rows(domain, first, count)`` returns training rows of a domain as a batch of
            ``input_ids``, ``labels`` and ``position_ids``, int64 of shape (count, T), on the
            model's device. They are the rows that the run saw, or would see, when it trained on
            the domain, in that order; the same call gives the same rows.
        loss: ``loss(batch)`` returns the mean loss in nats a token, differentiable, computed in
            the precision of the run, without penalty.
        reduce: averages a tensor over the devices; the identity on one.
        batch_size: rows that fit into one forward and backward pass.
        seed: of what strategies draw in this run; each seeds generators of its own with it.
    """

    model: PreTrainedModel
    method: Method
    rows: Callable[[str, int, int], Batch]
    loss: Callable[[Batch], torch.Tensor]
    reduce: Callable[[torch.Tensor], torch.Tensor]
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Cost:
    """What a strategy costs beside the training of the task itself.

    Attributes:
        stored_rows: training rows of earlier domains that are kept.
        stored_copies: kept numbers, in multiples of those that `Method.weight_delta` returns.
        rows_per_step: rows whose gradient each optimiser step computes beside those of its batch.
        forwards_per_step: forward passes over the rows of its batch beside the one that trains.
        rows_at_end: rows that are gone over once when a domain is finished.
        backwards_at_end: backward passes over each of them, to all weights; one forward pass.
    """

    stored_rows: int = 0
    stored_copies: int = 0
    rows_per_step: int = 0
    forwards_per_step: int = 0
    rows_at_end: int = 0
    backwards_at_end: int = 0


class Strategy(Declared):
    """Nothing against forgetting: the base of the strategies, which override what they change.

    A registered strategy declares what `Declared` names, and:

    Attributes:
        changes: what it changes (`CHANGES`): it composes with the methods that support that.
        stores: what it keeps of earlier domains, in a few words.
        processes: what a step computes for it, in a few words; `cost` counts both.
        upper_bound: whether it has all data at once, a bound on the others and not their rival.
        paragraph_after: key of the strategy whose paragraph has to come before its own.

    Nothing that changes within a task may be kept in a strategy, so that a run that was killed can
    go on: what is drawn for step n depends on the seed, the task and n alone.
    """

    changes: ClassVar[frozenset[str]] = frozenset()
    stores: ClassVar[str]
    processes: ClassVar[str]
    upper_bound: ClassVar[bool] = False
    paragraph_after: ClassVar[str] = ""

    def cost(self, earlier: int) -> Cost:
        """Return what it costs in a task that ``earlier`` domains came before, the source too."""
        return Cost()

    def check(self, rows: Mapping[str, int], settings: Mapping[str, Any]) -> None:
        """Raise a `UserError` if the hyperparameters do not fit the data or the run.

        Args:
            rows: training rows of each domain of the run: the known one, then the tasks.
            settings: the run's resolved settings. What a strategy never works with among the keys
                of ``fast`` is refused by its declaration, before anything starts.
        """

    def mix(self, current: Stream, earlier: Sequence[Stream], every: Sequence[Stream]) -> Stream:
        """Return the rows to train a task on.

        Args:
            current: the task's own rows.
            earlier: those of the known language and of the tasks before, in their order.
            every: those of the known language and of all tasks of the sequence.
        """
        return current

    def begin_task(self, context: Context, earlier: Sequence[str], index: int) -> None:
        """Prepare for task ``index``; ``earlier`` names the domains learned so far, known first."""

    def penalty(
        self, context: Context, batch: Batch, outputs: Outputs | None
    ) -> torch.Tensor | None:
        """Return what is added to the loss of a micro-batch (nats a token), or None.

        Args:
            context: of the run.
            batch: the rows of the micro-batch.
            outputs: what the model computed of them; None where the step is replayed from a
                recording (``fast.cuda_graphs``): a strategy that reads them declares that it does
                not go with it.
        """
        return None

    def project(self, context: Context, step: int) -> None:
        """Change the gradients of optimiser step ``step`` (``.grad``, in place)."""

    def finish_task(self, context: Context) -> None:
        """Change the weights when the steps of a task are over.

        Called for every task of the sequence, also the last, before anything is noted of the task
        (`end_task`), measured or saved; `Method.end_task` came before.
        """

    def end_task(self, context: Context, task: str) -> None:
        """Take note of a finished task; called for the known language before the first task."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return what was noted, as named tensors."""
        return {}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state_dict` returned."""

    def measures(self) -> dict[str, float]:
        """Return numbers for the log of the step just taken."""
        return {}
