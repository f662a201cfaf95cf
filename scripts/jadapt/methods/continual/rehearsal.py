"""Training on more than the task at hand: replay of earlier rows, and joint training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jadapt.core.errors import UserError
from jadapt.data.mixing import Interleaved, MixedStream, Repeated, Stream
from jadapt.methods.strategy import Strategy

ALL = ("sft", "lora", "dora", "houlsby", "prefix")


def check_memory(name: str, memory: int, rows: Mapping[str, int]) -> None:
    """Raise a `UserError` if a domain cannot fill a memory of so many rows."""
    for domain, available in rows.items():
        if memory > available:
            raise UserError(
                f"continual.{name}.memory_rows: {memory} is more than the {available} training "
                f"rows of '{domain}'; lower it to at most that"
            )


class Replay(Strategy):
    """Experience replay (Rolnick et al., NeurIPS 2019): a share of rows from a memory.

    ``ratio`` of all rows come from memories of ``memory_rows`` rows of the known language and of
    each task before, in turn. Batches keep their size, so the task is given that many rows fewer.
    """

    key = "replay"
    hyperparameters = ("ratio", "memory_rows")
    composes_with = ALL

    def check(self, rows: Mapping[str, int]) -> None:
        """Refuse a memory that is larger than a domain."""
        check_memory("replay", self.settings["memory_rows"], rows)

    def mix(self, current: Stream, earlier: Sequence[Stream], every: Sequence[Stream]) -> Stream:
        """Spread the remembered rows evenly among those of the task."""
        memory = self.settings["memory_rows"]
        memories = Interleaved([Repeated(stream, memory) for stream in earlier])
        return MixedStream(current, memories, self.settings["ratio"])


class Joint(Strategy):
    """Joint training on the known language and all tasks at once, each with the same share.

    The upper bound of the strategies: it has all data all the time. It is given the same number of
    steps, and evaluated at the same points, as those that go from task to task.
    """

    key = "joint"
    composes_with = ALL

    def mix(self, current: Stream, earlier: Sequence[Stream], every: Sequence[Stream]) -> Stream:
        """Take the rows of all domains in turn."""
        return Interleaved(every)
