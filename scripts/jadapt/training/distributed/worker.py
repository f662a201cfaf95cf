"""The rank of a process of a run on several devices, and its tie to the launching process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress

# Exit status of a process that lost its connection to the others: the fault lies with another one.
LOST = 75
RANK, LIFELINE = "LOCAL_RANK", "JADAPT_LIFELINE"


def rank(settings: Mapping) -> int | None:
    """Return the rank of this process in its run; None for the launcher of several processes.

    A run on one device has a single process, of rank 0, whatever the environment says.
    """
    if settings.get("devices", 1) == 1:
        return 0
    return int(os.environ[RANK]) if RANK in os.environ else None


def follow_starter() -> None:
    """Kill this process as soon as the launching process has ended, for whatever reason."""
    if LIFELINE not in os.environ:
        return
    lifeline = int(os.environ.pop(LIFELINE))

    def wait() -> None:
        # Nothing is ever written to the pipe: the read returns when the launcher's end is closed.
        with suppress(OSError):
            os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
