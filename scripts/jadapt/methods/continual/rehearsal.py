"""Training on more than the task at hand: replay of earlier rows, and joint training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jadapt.config import budget
from jadapt.core.declarations import DDP, FSDP2, ROWS, Field, Look, Number, Settings
from jadapt.core.errors import UserError
from jadapt.methods.strategy import Cost, Strategy

if TYPE_CHECKING:
    from jadapt.data.mixing import Stream


def check_seen(key: str, count: int, rows: Mapping[str, int], settings: Mapping[str, Any]) -> None:
    """Raise a `UserError` if a domain has, or a task trains on, fewer rows than are to be kept.

    Args:
        key: of the number, for the message.
        count: training rows that are kept of each domain.
        rows: training rows of each domain of the run: the source domain, then the tasks.
        settings: the run's, of which those of `jadapt.config.budget`, ``sequence`` and
            ``continual`` are read.
    """
    for domain, available in rows.items():
        if count > available:
            raise UserError(
                f"{key}: {count} is more than the {available} training rows of '{domain}'; "
                "lower it to at most that"
            )
    ratio = (settings.get("continual", {}).get("replay") or {}).get("ratio", 0)
    # Nothing is kept of the last task, and the source domain was learned before the run.
    for task in settings["sequence"][:-1]:
        seen = budget.rows(settings, task)
        # What replay takes from memories is not of the task.
        seen -= int(seen * ratio)
        if count > seen:
            raise UserError(
                f"{key}: {count} is more than the {seen} rows of '{task}' that the run trains on "
                "(steps x global_batch_size, less what is replayed); lower it to at most that"
            )


class Replay(Strategy):
    """Experience replay (Rolnick et al., NeurIPS 2019): a share of rows from a memory.

    ``ratio`` of all rows come from memories of ``memory_rows`` rows of the known language and of
    each task before, in turn. Batches keep their size, so the task is given that many rows fewer.
    """

    key = "replay"
    label = "Replay"
    family = "memory"
    order = 110
    look = Look("#009e73", ">")
    summary = "Experience replay: a share of the rows comes from memories of earlier text."
    paragraph = r"""
    *Replay* @replay takes a share of the rows from memories of the << home >> and of the tasks
    before, in turn. The batch keeps its size, so the task is given that many rows fewer.
    """
    citation = "replay"
    changes = frozenset({ROWS})
    # A step costs what it costs without.
    benchmarked = False
    parallelism = frozenset({DDP, FSDP2})
    stores = "rows of every earlier domain"
    processes = "nothing more: remembered rows take the place of the task's"

    class Hyperparameters(Settings):
        """Of the memory."""

        ratio: Number = Field(
            examples=[0.05],
            ge=0,
            le=1,
            description="Share of all rows that come from the memories.",
        )
        memory_rows: int = Field(
            examples=[256],
            ge=1,
            description="Training rows kept of the known language and of each task.",
        )

    def cost(self, earlier: int) -> Cost:
        """Return the rows of the memories; a batch has as many rows as without them."""
        return Cost(stored_rows=self.settings.memory_rows * earlier)

    def check(self, rows: Mapping[str, int], settings: Mapping[str, Any]) -> None:
        """Refuse a memory that is larger than a domain, or than what the run has seen of it."""
        check_seen("continual.replay.memory_rows", self.settings.memory_rows, rows, settings)

    def mix(self, current: Stream, earlier: Sequence[Stream], every: Sequence[Stream]) -> Stream:
        """Spread the remembered rows evenly among those of the task."""
        from jadapt.data.mixing import Interleaved, MixedStream, Repeated

        memory = self.settings.memory_rows
        memories = Interleaved([Repeated(stream, memory) for stream in earlier])
        return MixedStream(current, memories, self.settings.ratio)


class Joint(Strategy):
    """Joint training on the known language and all tasks at once, each with the same share.

    The upper bound of the strategies: it has all data all the time. It is given the same number of
    steps, and evaluated at the same points, as those that go from task to task.
    """

    key = "joint"
    label = "Joint training"
    family = "reference"
    order = 900
    look = Look("#777777", "8", (0, (6, 2)))
    summary = "Joint training on all domains at once, the upper bound."
    paragraph = r"""
    *Joint training* takes the rows of all domains in turn, from beginning to end. It is what the
    strategies would like to equal, since it has all data all the time, and serves as the upper
    bound. The bound is one of convention: with the same number of steps, joint training sees less
    of each domain.
    """
    changes = frozenset({ROWS})
    # A step costs what it costs without.
    benchmarked = False
    parallelism = frozenset({DDP, FSDP2})
    stores = "all text of every domain"
    processes = "nothing more: rows of other domains take the place of the task's"
    upper_bound = True

    def mix(self, current: Stream, earlier: Sequence[Stream], every: Sequence[Stream]) -> Stream:
        """Take the rows of all domains in turn."""
        from jadapt.data.mixing import Interleaved

        return Interleaved(every)
