"""Learning without forgetting (Li and Hoiem, ECCV 2016): the model before a task teaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jadapt.core.declarations import FAST, LOSS, Field, Look, Number, Settings
from jadapt.methods.strategy import Batch, Context, Cost, Strategy

if TYPE_CHECKING:
    import torch

    from jadapt.methods.outputs import Outputs


class LwF(Strategy):
    """strength * T^2 * KL(p_T || q_T), the mean over the scored tokens of the task's own rows.

    p_T and q_T are the softmax of the logits over the temperature T, of the model before the task
    and of the one in training. T^2 keeps the size of the gradient whatever T is (Hinton et al.,
    2015). Li and Hoiem take the cross-entropy, which differs by the entropy of p_T: by nothing that
    has a gradient.

    The model before the task is the one in training with other weights: what trains is kept once
    more, and put in for a forward pass without gradients.
    """

    key = "lwf"
    benchmarked = False
    label = "LwF"
    family = "regularisation"
    order = 145
    look = Look("#cc79a7", "d", (0, (1, 3)))
    summary = "Learning without forgetting: the model before the task teaches the one in training."
    paragraph = r"""
    *LwF* @lwf needs no old text. On the rows of the task at hand the model is held to the
    predictions that it made before the task,
    $ cal(L)(theta) + lambda T^2 space "KL" (p_T (theta^*) || p_T (theta)), $ <eq-lwf>
    where $theta^*$ are the parameters after the task before and $p_T$ the distribution of the next
    token with its logits divided by the temperature $T$. What is kept is what the model does on new
    text, which is not what it did on the old.
    """
    citation = "lwf"
    changes = frozenset({LOSS})
    # A recorded step hands over no outputs. Projections in one matrix have the weights in training.
    fast = FAST - {"cuda_graphs", "fuse_projections"}
    stores = "the weights after the task before"
    processes = "a forward pass of the model before the task on the same rows"

    class Hyperparameters(Settings):
        """Of the distillation."""

        strength: Number = Field(
            examples=[1.0], ge=0, description="Weight of the distillation in the loss."
        )
        temperature: Number = Field(
            examples=[2.0],
            gt=0,
            description="What logits are divided by; the higher, the more unlikely tokens count.",
        )

    def __init__(self, settings: dict):
        super().__init__(settings)
        self._before: dict[str, torch.Tensor] = {}
        self._last: torch.Tensor | float = 0.0

    def cost(self, earlier: int) -> Cost:
        """Return one copy of the weights and one forward pass."""
        return Cost(stored_copies=1, forwards_per_step=1)

    def begin_task(self, context: Context, earlier: Sequence[str], index: int) -> None:
        """Keep what trains, as it is before the task's first step; also when one is resumed."""
        self._last = 0.0
        self._before = {
            name: parameter.detach().clone()
            for name, parameter in context.model.named_parameters()
            if parameter.requires_grad
        }

    def penalty(
        self, context: Context, batch: Batch, outputs: Outputs | None
    ) -> torch.Tensor | None:
        """Return the distillation loss of a micro-batch, in nats a token, differentiable."""
        from torch.nn.functional import kl_div, log_softmax

        from jadapt.methods.continual.gradients import IGNORED

        hidden, head = self._taught(context, batch)
        temperature = float(self.settings.temperature)
        scored = batch["labels"].flatten() != IGNORED

        def divergence(
            logits: torch.Tensor, hidden: torch.Tensor, scored: torch.Tensor
        ) -> torch.Tensor:
            before = log_softmax((hidden @ head.T).float() / temperature, -1)
            now = log_softmax(logits.float() / temperature, -1)
            found = kl_div(now, before, reduction="none", log_target=True).sum(-1)
            return (found * scored).sum()

        total = outputs.total(divergence, hidden, scored)
        weight = float(self.settings.strength) * temperature**2
        penalty = weight * total / scored.sum().clamp_min(1)
        self._last = penalty.detach()
        return penalty

    def measures(self) -> dict[str, float]:
        """Return the last value of the penalty, in nats a token."""
        return {"penalty": float(self._last)}

    def _taught(self, context: Context, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return hidden states (N, width) and output embedding of the model before the task."""
        import torch
        from torch.func import functional_call

        from jadapt.methods.continual.gradients import evaluating

        model = context.model
        prefix = f"{model.base_model_prefix}."
        inner = {
            name.removeprefix(prefix): tensor
            for name, tensor in self._before.items()
            if name.startswith(prefix)
        }
        inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
        # Compiled code would be compiled once more for weights that are no parameters.
        eager = torch.compiler.set_stance("force_eager")
        with torch.no_grad(), evaluating(model), eager:
            outcome = functional_call(model.base_model, inner, (), inputs)
        matrix = model.get_output_embeddings().weight
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        head = self._before.get(names[id(matrix)], matrix).detach()
        return outcome.last_hidden_state.flatten(0, 1), head
