"""Errors meant for the person at the keyboard, and how scripts end when they meet one."""

from __future__ import annotations

import difflib
import errno
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

# So many known names fit into one line.
SHOWN = 30


class UserError(Exception):
    """An error that the user can fix: one line that names the file, the key and the remedy."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as ``; did you mean 'seeds'?``, or the known names when none is near."""
    known = sorted(str(name) for name in known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    shown = known[:SHOWN]
    more = len(known) - len(shown)
    return f"; known: {', '.join(shown)}{f' and {more} more' if more > 0 else ''}" if known else ""


# The disk is full, the user's quota is exceeded, or the file would be too large.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# What else the system may refuse, and what helps; a missing file is no such refusal.
_REFUSED = {
    errno.EACCES: "give yourself the right to it (chmod, chown)",
    errno.EPERM: "give yourself the right to it (chmod, chown)",
    errno.EROFS: "work in a copy on a disk that can be written to",
    errno.EIO: "the disk or the network behind it fails; run again, or from a copy",
    errno.ESTALE: "the file server lost it; run the same command again",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ELOOP: "a link leads to itself; remove it",
    errno.EISDIR: "a folder is in the place of a file; move it away",
    errno.ENOTDIR: "a file is in the place of a folder; move it away",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs: the machine has too many open files",
}


@contextmanager
def one_line() -> Iterator[None]:
    """Turn a `UserError`, or a refusal of the system, into one line on stderr and exit status 1."""
    try:
        yield
    except Exception as error:
        text = _explained(error)
        if text is None:
            raise
        print(f"error: {' '.join(text.split())}", file=sys.stderr)
        sys.exit(1)


def _explained(error: Exception) -> str | None:
    """Return what to print for an error that the user can mend; None for any other."""
    text = str(error)
    if isinstance(error, UserError):
        return text
    named = error if isinstance(error, OSError) and error.filename is not None else None
    if named:
        text = f"{named.filename}: {named.strerror}"
    # Libraries that write files have errors of their own, with the system's text.
    if any(os.strerror(code) in str(error) for code in _FULL):
        return f"{text}; free some room and run the same command again"
    if named and named.errno in _REFUSED:
        return f"{text}; {_REFUSED[named.errno]}"
    return None


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
