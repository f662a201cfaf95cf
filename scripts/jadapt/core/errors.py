"""Errors meant for the person at the keyboard, and how scripts end when they meet one."""

from __future__ import annotations

import difflib
import errno
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """An error that the user can fix: one line that names the file, the key and the remedy."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as ``; did you mean 'seeds'?``, or the known names when none is near."""
    known = sorted(str(name) for name in known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""


# The disk is full, the user's quota is exceeded, or the file would be too large.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn a `UserError`, or a full disk, into one line on stderr and exit status 1."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if not isinstance(error, UserError):
            # Libraries raise errors of their own when a write fails, with the system's message.
            if not any(os.strerror(code) in text for code in _FULL):
                raise
            if isinstance(error, OSError) and error.filename:
                text = f"{error.filename}: {error.strerror}"
            text += "; free some room and run the same command again"
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(1)


def run(main: Callable[[], int | None]) -> None:
    """Run a script's ``main`` and exit with what it returns, or as `one_line` does.

    A reader of stdout that has seen enough (``| head``) is no error.
    """
    with one_line():
        try:
            status = main() or 0
            sys.stdout.flush()
        except BrokenPipeError:
            if not _nobody_reads():
                raise
            status = 0
        sys.exit(status)


def _nobody_reads() -> bool:
    """Tell whether stdout is a pipe without a reader; if so, redirect it to /dev/null."""
    output = sys.stdout.fileno()
    pipes = select.poll()
    pipes.register(output, 0)
    if not any(event & select.POLLERR for _, event in pipes.poll(0)):
        return False
    # Otherwise the interpreter would flush stdout at exit and report another error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True
