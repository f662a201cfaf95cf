"""Gradient projection against forgetting: GEM (Lopez-Paz and Ranzato, NIPS 2017) and A-GEM
(Chaudhry et al., ICLR 2019). What is projected, and how, is `jadapt.methods.continual.projection`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jadapt.core.declarations import GRADIENT, Field, Look, Number, Settings
from jadapt.core.errors import UserError
from jadapt.methods.continual.rehearsal import check_seen
from jadapt.methods.strategy import Batch, Context, Cost, Strategy

if TYPE_CHECKING:
    import torch

    from jadapt.methods.continual.projection import Projection

MEMORY_ROWS = Field(
    examples=[8], ge=1, description="Training rows kept of the known language and of each task."
)


class _Projecting(Strategy):
    """What GEM and A-GEM share: memories, their gradients, and where the result goes."""

    key = ""
    family = "memory"
    changes = frozenset({GRADIENT})
    stores = "rows of every earlier domain"

    def __init__(self, settings: dict):
        super().__init__(settings)
        self._earlier: list[str] = []
        self._index = 0
        self._measures: dict[str, float] = {}

    def check(self, rows: Mapping[str, int], settings: Mapping[str, Any]) -> None:
        """Refuse a memory larger than what was seen of a domain, and batches larger than it."""
        memory, batch = self.settings.memory_rows, self.settings.batch_rows
        check_seen(f"continual.{self.key}.memory_rows", memory, rows, settings)
        if batch > memory:
            raise UserError(
                f"continual.{self.key}.batch_rows: {batch} is more than memory_rows {memory}; "
                "lower it to at most that"
            )

    def begin_task(self, context: Context, earlier: Sequence[str], index: int) -> None:
        """Note whose memories constrain this task."""
        self._earlier, self._index, self._measures = list(earlier), index, {}

    def project(self, context: Context, step: int) -> None:
        """Project ``.grad`` of all trainable parameters, as one vector, in place."""
        if not self._earlier:
            return
        import torch

        from jadapt.methods.continual import gradients

        parameters = gradients.trainable(context.model)
        memories = self._memory_gradients(context, parameters, step)
        gradient = torch.empty_like(memories[0])
        gradients.read_gradient(parameters, gradient)
        projection = self._projected(gradient, memories)
        if projection.gradient is not gradient:
            gradients.write_gradient(parameters, projection.gradient)
        self._measures = {
            "violated_constraints": float(projection.violated),
            "smallest_memory_cosine": projection.cosine,
            "projected_norm_ratio": projection.norm_ratio,
        }

    def measures(self) -> dict[str, float]:
        """Return violations, the smallest cosine with a memory, the norm after over before."""
        return self._measures

    def _draw(self, seed: int, step: int) -> list[list[tuple[str, int]]]:
        """Return, for each constraint, the (domain, row) pairs of its gradient at ``step``."""
        raise NotImplementedError

    def _projected(self, gradient: torch.Tensor, memories: torch.Tensor) -> Projection:
        raise NotImplementedError

    def _order(self, seed: int, domain: str) -> list[int]:
        """Return the rows of a domain's memory in the order in which this task goes round them."""
        import torch

        from jadapt.methods.continual import gradients

        source = gradients.generator("cpu", "memory", seed, self._index, domain)
        return torch.randperm(self.settings.memory_rows, generator=source).tolist()

    def _memory_gradients(
        self, context: Context, parameters: list[torch.nn.Parameter], step: int
    ) -> torch.Tensor:
        """Return the gradients of the constraints at the current weights, (K, P) float32."""
        import torch

        from jadapt.methods.continual import gradients

        constraints = self._draw(context.seed, step)
        size = sum(parameter.numel() for parameter in parameters)
        found = torch.zeros(
            len(constraints), size, dtype=torch.float32, device=parameters[0].device
        )
        # Without dropout: the constraint is on the loss itself, and no random number is drawn.
        with gradients.evaluating(context.model), torch.enable_grad():
            for rows, out in zip(constraints, found, strict=True):
                tokens = 0
                for first in range(0, len(rows), context.batch_size):
                    batch = _batch(context, rows[first : first + context.batch_size])
                    count = gradients.scored(batch["labels"])
                    # Sums weigh a last, smaller micro-batch rightly, and in fp16 keep gradients
                    # from underflowing: no loss scaler stands behind this pass.
                    gradients.add_gradient(context.loss(batch) * count, parameters, out)
                    tokens += count
                out.div_(max(tokens, 1))
        return context.reduce(found)


class GEM(_Projecting):
    """Gradient episodic memory: one constraint for each earlier domain.

    Each step recomputes every memory's gradient on ``batch_rows`` of its ``memory_rows`` rows,
    going round the memory in an order drawn for the task.
    """

    key = "gem"
    label = "GEM"
    order = 150
    look = Look("#00513b", "p", "--")
    summary = "Gradient episodic memory: no step may raise the loss on any memory."
    paragraph = r"""
    *GEM* @gem keeps rows of every earlier domain. In each step it takes the gradients $g_k$ of the
    loss on them, at the present parameters, and replaces the gradient $g$ of the task by the
    nearest one that, to first order, raises none of these losses:
    $ min_tilde(g) 1 / 2 norm(tilde(g) - g)^2 quad "subject to" quad tilde(g) dot g_k >= 0
    quad "for all" k. $ <eq-gem>
    With the $g_k$ as rows of $G$, the dual $min_v 1 / 2 v^top G G^top v + g^top G^top v$ subject to
    $v >= gamma$ has one variable for each domain; a quadratic program solver finds it, and
    $tilde(g) = g + G^top v$. All parameters form one vector. A margin $gamma$ above zero puts at
    least that multiple of every $g_k$ into the step, which is replay by another name.
    """
    citation = "gem"
    processes = "the gradient on rows of every memory, and their projection"

    class Hyperparameters(Settings):
        """Of the memories and the projection."""

        memory_rows: int = MEMORY_ROWS
        batch_rows: int = Field(
            examples=[2],
            ge=1,
            description="Rows of each memory that a step computes its gradient on.",
        )
        margin: Number = Field(
            examples=[0.0],
            ge=0,
            description="Least multiple of a memory's gradient that a projection adds.",
        )

    def cost(self, earlier: int) -> Cost:
        """Return the memories, and the rows that each of them adds to a step."""
        return Cost(
            stored_rows=self.settings.memory_rows * earlier,
            rows_per_step=self.settings.batch_rows * earlier,
        )

    def _draw(self, seed: int, step: int) -> list[list[tuple[str, int]]]:
        pools = [[(domain, row) for row in self._order(seed, domain)] for domain in self._earlier]
        return [_turn(pool, self.settings.batch_rows, step) for pool in pools]

    def _projected(self, gradient: torch.Tensor, memories: torch.Tensor) -> Projection:
        from jadapt.methods.continual.projection import project_gem

        return project_gem(gradient, memories, self.settings.margin)


class AGEM(_Projecting):
    """Averaged GEM: one constraint, the mean loss on the memories of all earlier domains together.

    ``batch_rows`` rows a step in all, as published, so that its cost does not grow with the number
    of domains; these take turns, so that each has the same share.
    """

    key = "agem"
    label = "A-GEM"
    order = 160
    # What GEM costs with one memory.
    benchmarked = False
    look = Look("#86b817", "h", "-.")
    summary = "Averaged gradient episodic memory: one constraint for all memories together."
    paragraph = r"""
    *A-GEM* @agem has a single constraint, on the mean gradient $macron(g)$ of the remembered rows.
    If $g dot macron(g)$ is negative, $tilde(g) = g - (g dot macron(g)) / (macron(g) dot macron(g))
    macron(g)$; else $g$ stays.
    """
    citation = "agem"
    processes = "the gradient on rows of all memories together, and its projection"

    class Hyperparameters(Settings):
        """Of the memories."""

        memory_rows: int = MEMORY_ROWS
        batch_rows: int = Field(
            examples=[2],
            ge=1,
            description="Rows of all memories together that a step computes its gradient on.",
        )

    def cost(self, earlier: int) -> Cost:
        """Return the memories, and the rows that they add to a step together."""
        return Cost(
            stored_rows=self.settings.memory_rows * earlier,
            rows_per_step=self.settings.batch_rows,
        )

    def _draw(self, seed: int, step: int) -> list[list[tuple[str, int]]]:
        orders = [self._order(seed, domain) for domain in self._earlier]
        turns = zip(*orders, strict=True)
        pool = [pair for rows in turns for pair in zip(self._earlier, rows, strict=True)]
        return [_turn(pool, self.settings.batch_rows, step)]

    def _projected(self, gradient: torch.Tensor, memories: torch.Tensor) -> Projection:
        from jadapt.methods.continual.projection import project_agem

        return project_agem(gradient, memories[0])


def _turn(pool: list[tuple[str, int]], count: int, step: int) -> list[tuple[str, int]]:
    """Return the ``count`` entries that are next at ``step`` (1 is the first), round and round."""
    first = (step - 1) * count
    return [pool[(first + offset) % len(pool)] for offset in range(count)]


def _batch(context: Context, rows: list[tuple[str, int]]) -> Batch:
    import torch

    parts = [context.rows(domain, row, 1) for domain, row in rows]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
