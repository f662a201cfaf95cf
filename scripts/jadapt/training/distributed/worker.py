"""What one of several processes of a run knows of itself and of the one that started it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress

# How a rank ends that lost the others: it is not the one to blame.
LOST = 75
RANK, LIFELINE = "LOCAL_RANK", "JADAPT_LIFELINE"


def rank(settings: Mapping) -> int | None:
    """Return the number of this process among those of a run; None if it has to start them.

    A run on one device is its only process, whatever the environment says.
    """
    if settings.get("devices", 1) == 1:
        return 0
    return int(os.environ[RANK]) if RANK in os.environ else None


def follow_starter() -> None:
    """End this process when the one that started it is gone, however that ended."""
    if LIFELINE not in os.environ:
        return
    lifeline = int(os.environ.pop(LIFELINE))

    def wait() -> None:
        # Nothing is ever written: the read ends when the other end is closed.
        with suppress(OSError):
            os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
