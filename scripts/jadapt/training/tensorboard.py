"""TensorBoard event files of the training logs, for studies with ``tensorboard: true``.

The option does not affect results, so it is not one of a run's settings: the workflow passes it to
its jobs as an environment variable, and switching it on or off causes no new training.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

VARIABLE = "JADAPT_TENSORBOARD"


def mirror(log: Path, line: dict[str, Any]) -> None:
    """Write the numbers of a line of ``train.jsonl`` as scalars, if event files are wanted.

    Args:
        log: the log, ``checkpoints/{run}/seed{seed}/{task}/train.jsonl``; the part of the path
            after ``checkpoints`` becomes the name of the curve.
        line: ``step`` and any numbers.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    parts = log.parent.parts
    start = max((i + 1 for i, part in enumerate(parts) if part == "checkpoints"), default=-3)
    writer = _writer(Path(folder, *parts[start:]))
    for name, value in line.items():
        if name not in ("step", "task") and isinstance(value, int | float):
            writer.add_scalar(name, value, line["step"])
    # Flushed after every line, so that a killed run keeps its curves.
    writer.flush()


@cache
def _writer(folder: Path):
    # Imported late: it takes seconds, and most studies write no event files.
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))
