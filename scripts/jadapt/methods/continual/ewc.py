"""Quadratic penalties that hold weights near those of earlier tasks: L2, EWC and online EWC.

All are (strength / 2) * sum_t sum_i F_ti (theta_i - theta*_ti)^2, in nats a token, over
`Method.weight_delta`: the trainable weights, or the change of the weights that low-rank factors
stand for. There two pairs of factors with one product are one model, so a penalty on the
factors would tell equal models apart.

F is per token and the loss a mean over tokens, so the strength has a scale: for EWC as Laplace's
approximation of the earlier task's posterior, it is the tokens of that task over those of this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from jadapt.core.declarations import LOSS, REFUSED, Field, Look, Number, Settings
from jadapt.methods.continual.rehearsal import check_seen
from jadapt.methods.strategy import Batch, Context, Cost, Strategy

if TYPE_CHECKING:
    import torch

    from jadapt.methods.continual.quadratic import Term
    from jadapt.methods.outputs import Outputs

# Squared gradients of a Fisher diagonal; an entry's relative error is then about 0.18.
LEAST_GRADIENTS = 64
_ERROR = "error"
STRENGTH = Field(
    examples=[1.0],
    ge=0,
    description="Weight of the penalty; half of it multiplies the squared distances.",
)


class Anchored(Strategy):
    """A quadratic penalty; subclasses say in `end_task` what is noted of a finished task."""

    family = "regularisation"
    changes = frozenset({LOSS})

    def __init__(self, settings: dict):
        super().__init__(settings)
        self._terms: list[Term] = []
        self._last: torch.Tensor | float = 0.0

    def penalty(
        self, context: Context, batch: Batch, outputs: Outputs | None
    ) -> torch.Tensor | None:
        """Return the penalty at the current weights, float32; None before anything is noted.

        The same for each micro-batch of a step: their losses are averaged, so it counts once.
        """
        if not self._terms:
            return None
        from jadapt.methods.continual.quadratic import Quadratic, on_devices_of, weight_delta

        values = weight_delta(context)
        self._terms = [on_devices_of(values, term) for term in self._terms]
        flat = [
            {part: [tensors[name] for name in values] for part, tensors in term.items()}
            for term in self._terms
        ]
        total = Quadratic.apply(float(self.settings.strength), flat, *values.values())
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
    label = "L2 to the previous weights"
    order = 120
    # Cheaper than EWC, by the Fisher information.
    benchmarked = False
    look = Look("#56b4e9", "<", (0, (1, 1)))
    summary = "A penalty on the distance to the weights after the task before."
    paragraph = r"""
    *<< names.l_two >>.* The plainest penalty, $lambda \/ 2 dot norm(theta - theta^*)^2$, ties all
    parameters alike to their values after the task before. It is the control for the weights that
    EWC puts on them @ewc.
    """
    citation = "ewc"
    stores = "the weights after the task before"
    processes = "the penalty"

    class Hyperparameters(Settings):
        """Of the penalty."""

        strength: Number = STRENGTH

    def cost(self, earlier: int) -> Cost:
        """Return one anchor."""
        return Cost(stored_copies=1)

    def end_task(self, context: Context, task: str) -> None:
        """Move the anchor to the current weights."""
        from jadapt.methods.continual.quadratic import anchor

        self._terms = [{"anchor": anchor(context)}]


class EWC(Anchored):
    """Elastic weight consolidation (Kirkpatrick et al., PNAS 2017).

    A Fisher diagonal and an anchor for each finished task, the known language being the first.
    """

    key = "ewc"
    label = "EWC"
    order = 130
    look = Look("#0072b2", "D")
    summary = "Elastic weight consolidation: one penalty for each earlier domain."
    paragraph = r"""
    *EWC* @ewc weights the distance of each parameter with the diagonal of the Fisher information,
    $ cal(L)(theta) + lambda / 2 sum_k sum_i F_(k,i) (theta_i - theta^*_(k,i))^2, quad F_(k,i) =
    EE_(x ~ k) EE_(y ~ p_(theta^*_k) (dot | x)) [((partial ln p_theta (y | x)) / (partial
    theta_i))^2]_(theta = theta^*_k). $ <eq-ewc>
    <% if "sampled" in fisher_labels %>
    The inner mean runs over labels that the model itself draws, not over those of the data. That
    makes $F$ the true Fisher information, and it makes it cheap: given the text before them, the
    scores of labels drawn from the model have mean zero and are uncorrelated between tokens, so the
    square of a gradient summed over a row estimates the sum of squares without bias, and one
    backward pass serves the whole row. <% endif %><% if "empirical" in fisher_labels %>Where
    labels of the data take their place (the empirical Fisher information), that does not hold, and
    squares are taken row by row. <% endif %>Squaring the mean over a batch instead, as is common,
    divides $F$ by about the size of the batch; such differences decide what a given $lambda$ means
    @fisher.
    <% if "ewc" in strategies %>Every domain has a penalty of its own here, as published; early
    domains then count more often than their data warrant @huszar.<% endif +%>
    <% if of_kind("lora") | selectattr("penalised") | list %>
    With LoRA, the penalty is on the change of the weights, $Delta W = (alpha \/ r) B A$, and $F$ is
    that of $W$: factors with the same product are the same model, however far apart they lie.
    <% endif %>
    """
    citation = "ewc"
    stores = "the weights after every domain, and their Fisher information"
    processes = "the penalties; the Fisher information once at the end of a task"

    class Hyperparameters(Settings):
        """Of the penalty and of the estimate of the Fisher information."""

        strength: Number = STRENGTH
        fisher: Literal["sampled", "empirical"] = Field(
            examples=["sampled"],
            description="Labels of the Fisher information: sampled from the model (the true Fisher "
            "information), or those of the data.",
        )
        rows: int = Field(
            examples=[64],
            ge=1,
            description="Training rows a domain that the Fisher information is estimated on.",
        )
        draws: int = Field(
            examples=[1], ge=1, description="Samples of labels a row, where they are sampled."
        )
        batch_rows: int = Field(
            1,
            examples=[1],
            ge=1,
            description="Rows that one squared gradient sums over, where labels are sampled.",
        )

        @field_validator("batch_rows")
        @classmethod
        def enough(cls, batch_rows: int, others: ValidationInfo) -> int:
            """Refuse an estimate that is mostly noise."""
            if not {"fisher", "rows", "draws"} <= set(others.data):
                return batch_rows
            count, parts = others.data["rows"], "rows"
            if others.data["fisher"] == "sampled":
                count = count // batch_rows * others.data["draws"]
                parts = "rows / batch_rows x draws"
            if count < LEAST_GRADIENTS:
                raise PydanticCustomError(
                    REFUSED,
                    f"{count} squared gradients ({parts}) are too few for the Fisher information; "
                    f"raise rows or draws to {LEAST_GRADIENTS} of them",
                )
            return batch_rows

    def __init__(self, settings: Mapping[str, Any]):
        super().__init__(settings)
        self._error: float | None = None

    def cost(self, earlier: int) -> Cost:
        """Return an anchor and a Fisher diagonal for each domain, and what one takes."""
        return Cost(stored_copies=2 * earlier, **self._noting())

    def _noting(self) -> dict[str, int]:
        draws = self.settings.draws if self.settings.fisher == "sampled" else 1
        return {"rows_at_end": self.settings.rows, "backwards_at_end": draws}

    def check(self, rows: Mapping[str, int], settings: Mapping[str, Any]) -> None:
        """Refuse more rows for the Fisher than a domain has, or than the run trains on."""
        check_seen(f"continual.{self.key}.rows", self.settings.rows, rows, settings)

    def end_task(self, context: Context, task: str) -> None:
        """Add the Fisher diagonal and the weights at the end of ``task``."""
        from jadapt.methods.continual.quadratic import anchor

        self._terms.append({"anchor": anchor(context), "fisher": self._estimate(context, task)})

    def _estimate(self, context: Context, task: str) -> dict[str, torch.Tensor]:
        from jadapt.methods.continual.fisher import estimate

        settings = self.settings
        found = estimate(
            context, task, settings.fisher, settings.rows, settings.draws, settings.batch_rows
        )
        self._error = found.relative_error
        return found.diagonal

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the terms, and the error of the newest Fisher diagonal (``error``)."""
        import torch

        state = super().state_dict()
        if self._error is not None:
            state[_ERROR] = torch.tensor(self._error, dtype=torch.float64)
        return state

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state_dict` returned, on any device."""
        error = state.get(_ERROR)
        self._error = None if error is None else float(error)
        super().load_state_dict({key: state[key] for key in state if key != _ERROR})

    def measures(self) -> dict[str, float]:
        """Return the penalty, and the measured relative error of the newest Fisher diagonal."""
        error = {} if self._error is None else {"fisher_relative_error": self._error}
        return super().measures() | error


class OnlineEWC(EWC):
    """Online EWC (Schwarz et al., ICML 2018): one Fisher, F <- decay * F + F_t, one anchor.

    The anchor is the newest weights; memory and time do not grow with the number of tasks.
    """

    key = "online_ewc"
    label = "Online EWC"
    order = 140
    # What EWC costs after its first domain.
    benchmarked = False
    look = Look("#08306b", "d", (0, (4, 1, 1, 1)))
    summary = "Online elastic weight consolidation: one running penalty for all earlier domains."
    paragraph = r"""
    *Online EWC* @online-ewc keeps one penalty. After domain $k$ its Fisher information becomes $F
    <- gamma F + F_k$, with a decay $gamma$, and its anchor the newest parameters. Memory no longer
    grows with the number of tasks.
    """
    paragraph_after = "ewc"
    citation = "online-ewc"
    stores = "the newest weights, and a running Fisher information"
    processes = "the penalty; the Fisher information once at the end of a task"

    class Hyperparameters(EWC.Hyperparameters):
        """Those of EWC, and the decay."""

        decay: Number = Field(
            examples=[0.9],
            ge=0,
            le=1,
            description="Factor on the earlier Fisher information when a task is added.",
        )

    def cost(self, earlier: int) -> Cost:
        """Return one anchor and one Fisher diagonal, and what it takes."""
        return Cost(stored_copies=2, **self._noting())

    def end_task(self, context: Context, task: str) -> None:
        """Let the Fisher of earlier tasks decay, add this one's, move the anchor."""
        from jadapt.methods.continual.quadratic import anchor, on_devices_of

        fisher = self._estimate(context, task)
        if self._terms:
            earlier = on_devices_of(fisher, self._terms[0])["fisher"]
            for name, tensor in fisher.items():
                tensor.add_(earlier[name], alpha=self.settings.decay)
        self._terms = [{"anchor": anchor(context), "fisher": fisher}]
