"""Learning without forgetting (Li and Hoiem, ECCV 2016), a strategy that only the tests have."""

from __future__ import annotations

import copy

import torch
from torch.nn import functional

from jadapt.core.declarations import DDP, FAST, LOSS, Field, Look, Number, Settings
from jadapt.methods.strategy import Cost, Strategy


class LwF(Strategy):
    """Distillation: on the rows of a task the model keeps close to what it was before the task."""

    key = "lwf"
    label = "LwF"
    family = "regularisation"
    look = Look("#4b0082", "d", (0, (1, 3)))
    summary = "Learning without forgetting: the model before the task teaches the one in training."
    paragraph = "*LwF* keeps the predictions of the model before the task."
    changes = frozenset({LOSS})
    parallelism = frozenset({DDP})
    # A replayed step hands over no outputs.
    fast = FAST - {"cuda_graphs"}
    stores = "the weights after the task before"
    processes = "the model before the task on the same rows"

    class Hyperparameters(Settings):
        """Of the distillation."""

        strength: Number = Field(ge=0, examples=[1.0], description="Weight of the distillation.")

    def __init__(self, settings):
        super().__init__(settings)
        self._weights = {}
        self._teacher = None
        self._last = 0.0

    def cost(self, earlier):
        return Cost(stored_copies=1)

    def end_task(self, context, task):
        self._weights = {k: v.detach().clone() for k, v in context.model.state_dict().items()}

    def begin_task(self, context, earlier, index):
        self._teacher = copy.deepcopy(context.model).requires_grad_(False).eval()
        self._teacher.load_state_dict(self._weights)

    def penalty(self, context, batch, outputs):
        inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
        with torch.no_grad():
            taught = self._teacher.base_model(**inputs).last_hidden_state.flatten(0, 1)
        head = self._teacher.get_output_embeddings().weight

        def divergence(logits, hidden):
            before = functional.log_softmax((hidden @ head.T).float(), -1)
            now = functional.log_softmax(logits.float(), -1)
            return functional.kl_div(now, before, reduction="sum", log_target=True)

        found = outputs.total(divergence, taught) / len(taught) * self.settings.strength
        self._last = found.detach()
        return found

    def state_dict(self):
        # Tied weights have two names; a file holds each once.
        seen, kept = set(), {}
        for name, tensor in self._weights.items():
            kept[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
            seen.add(tensor.data_ptr())
        return kept

    def load_state_dict(self, state):
        self._weights = state

    def measures(self):
        return {"penalty": float(self._last)}
