"""Quadratic penalties that hold weights near those of earlier tasks: L2, EWC and online EWC.

All are (strength / 2) * sum_t sum_i F_ti (theta_i - theta*_ti)^2, in nats a token, over
`Method.effective`: the trainable weights, or the change of the weights that low-rank factors
stand for. There two pairs of factors with one product are one model, so a penalty on the
factors would tell equal models apart.

F is per token and the loss a mean over tokens, so the strength has a scale: for EWC as Laplace's
approximation of the earlier task's posterior, it is the tokens of that task over those of this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.autograd.function import once_differentiable

from jadapt.core.bucketing import divide
from jadapt.core.errors import UserError
from jadapt.methods.continual.fisher import estimate
from jadapt.methods.strategy import Context, Strategy

# Computed on at a time.
ENTRIES = 2**24

# What is kept of a finished task: "anchor" and, but for L2, "fisher", each by parameter name.
Term = dict[str, dict[str, torch.Tensor]]


class Anchored(Strategy):
    """A quadratic penalty; subclasses say in `end_task` what is noted of a finished task."""

    composes_with = ("sft", "lora", "houlsby", "prefix")

    def __init__(self, settings: dict):
        super().__init__(settings)
        self._terms: list[Term] = []
        self._last: torch.Tensor | float = 0.0

    def penalty(self, context: Context) -> torch.Tensor | None:
        """Return the penalty at the current weights, float32; None before anything is noted.

        The same for each micro-batch of a step: their losses are averaged, so it counts once.
        """
        if not self._terms:
            return None
        values = _effective(context)
        self._terms = [_on_devices_of(values, term) for term in self._terms]
        flat = [
            {part: [tensors[name] for name in values] for part, tensors in term.items()}
            for term in self._terms
        ]
        total = _Quadratic.apply(float(self.settings["strength"]), flat, *values.values())
        self._last = total.detach()
        return total

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the terms as float32 tensors named ``TERM/anchor/NAME``, ``TERM/fisher/NAME``."""
        return {
            f"{index}/{part}/{name}": tensor
            for index, term in enumerate(self._terms)
            for part, tensors in term.items()
            for name, tensor in tensors.items()
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state_dict` returned, on any device."""
        found: dict[int, Term] = {}
        for key, tensor in state.items():
            index, part, name = key.split("/", 2)
            found.setdefault(int(index), {}).setdefault(part, {})[name] = tensor
        self._terms = [found[index] for index in sorted(found)]

    def measures(self) -> dict[str, float]:
        """Return the last value of the penalty, in nats a token."""
        return {"penalty": float(self._last)}


class L2(Anchored):
    """(strength / 2) * |theta - theta*|^2, theta* being the weights after the previous task.

    The first anchor is the base model.
    """

    key = "l2"
    hyperparameters = ("strength",)

    def end_task(self, context: Context, task: str) -> None:
        """Move the anchor to the current weights."""
        self._terms = [{"anchor": _anchor(context)}]


class EWC(Anchored):
    """Elastic weight consolidation (Kirkpatrick et al., PNAS 2017).

    A Fisher diagonal and an anchor for each finished task, the known language being the first.
    """

    key = "ewc"
    hyperparameters = ("strength", "fisher", "rows", "draws")

    def check(self, rows: Mapping[str, int]) -> None:
        """Refuse more rows for the Fisher than a domain has."""
        wanted = self.settings["rows"]
        for domain, available in rows.items():
            if wanted > available:
                raise UserError(
                    f"continual.{self.key}.rows: {wanted} is more than the {available} training "
                    f"rows of '{domain}'; lower it to at most that"
                )

    def end_task(self, context: Context, task: str) -> None:
        """Add the Fisher diagonal and the weights at the end of ``task``."""
        self._terms.append({"anchor": _anchor(context), "fisher": self._estimate(context, task)})

    def _estimate(self, context: Context, task: str) -> dict[str, torch.Tensor]:
        settings = self.settings
        return estimate(context, task, settings["fisher"], settings["rows"], settings["draws"])


class OnlineEWC(EWC):
    """Online EWC (Schwarz et al., ICML 2018): one Fisher, F <- decay * F + F_t, one anchor.

    The anchor is the newest weights; memory and time do not grow with the number of tasks.
    """

    key = "online_ewc"
    hyperparameters = (*EWC.hyperparameters, "decay")

    def end_task(self, context: Context, task: str) -> None:
        """Let the Fisher of earlier tasks decay, add this one's, move the anchor."""
        fisher = self._estimate(context, task)
        if self._terms:
            earlier = _on_devices_of(fisher, self._terms[0])["fisher"]
            for name, tensor in fisher.items():
                tensor.add_(earlier[name], alpha=self.settings["decay"])
        self._terms = [{"anchor": _anchor(context), "fisher": fisher}]


def _anchor(context: Context) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {
            name: tensor.detach().to(torch.float32, copy=True).contiguous()
            for name, tensor in _effective(context).items()
        }


def _effective(context: Context) -> dict[str, torch.Tensor]:
    # Autocast would multiply low-rank factors in half precision, in the training step only: the
    # change of the weights would not be zero at its own anchor.
    with torch.autocast(next(context.model.parameters()).device.type, enabled=False):
        return context.method.effective(context.model)


def _on_devices_of(values: Mapping[str, torch.Tensor], term: Term) -> Term:
    """Move a term to where the model is; the trainer takes a model off its device between tasks."""
    return {
        part: {name: tensor.to(values[name].device) for name, tensor in tensors.items()}
        for part, tensors in term.items()
    }


class _Quadratic(torch.autograd.Function):
    """strength / 2 * sum over terms and entries of F (theta - theta*)^2, with its gradient at once.

    It runs in each micro-batch: value and gradient share the differences, ``foreach`` launches a
    few kernels for many tensors together, and of these there are never so many at once that what is
    computed on the way takes as much memory as the model.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        strength: float,
        terms: Sequence[dict[str, list[torch.Tensor]]],
        *values: torch.Tensor,
    ) -> torch.Tensor:
        """Return the penalty; each term lists anchors and Fishers (absent: ones) as the values."""
        gradients: list[torch.Tensor] = []
        sums: list[list[torch.Tensor]] = [[] for _ in terms]
        sizes = [value.numel() for value in values]
        for part in divide(range(len(values)), sizes, ENTRIES):
            single = [values[i].float() for i in part]
            found: list[torch.Tensor] | None = None
            for term, own_sums in zip(terms, sums, strict=True):
                difference = torch._foreach_sub(single, [term["anchor"][i] for i in part])
                if "fisher" in term:
                    weighted = torch._foreach_mul(difference, [term["fisher"][i] for i in part])
                else:
                    weighted = [tensor.clone() for tensor in difference]
                torch._foreach_mul_(difference, weighted)
                own_sums += [tensor.sum() for tensor in difference]
                if found is None:
                    found = weighted
                else:
                    torch._foreach_add_(found, weighted)
            torch._foreach_mul_(found, strength)
            gradients += [g.to(values[i].dtype) for g, i in zip(found, part, strict=True)]
        ctx.gradients = gradients
        return sum(torch.stack(own_sums).sum() for own_sums in sums) * (strength / 2)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, outer: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of the values, times that of the penalty."""
        if ctx.gradients is None:
            raise RuntimeError("the penalty can be differentiated once only")
        # Scaled in place, as another copy would stand beside the model.
        gradients, ctx.gradients = ctx.gradients, None
        torch._foreach_mul_(gradients, outer)
        return None, None, *gradients
