"""Event files for TensorBoard beside the logs of training, where a study asks for them.

The setting decides no result, so it is no part of a run's settings: the workflow hands it to its
jobs in the environment, and switching it on or off trains nothing again.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

VARIABLE = "JADAPT_TENSORBOARD"


def mirror(log: Path, line: dict[str, Any]) -> None:
    """Write the numbers of a line of ``train.jsonl`` as scalars, if there is a folder for them.

    Args:
        log: the log, ``checkpoints/{run}/seed{seed}/{task}/train.jsonl``; what follows
            ``checkpoints`` becomes the name of the curve.
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
    # A killed run keeps what it has shown.
    writer.flush()


@cache
def _writer(folder: Path):
    # Imported late: it takes seconds, and most studies write no event files.
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))
