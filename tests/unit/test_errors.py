"""How scripts end when nobody reads what they print, and when what they write to is gone."""

import subprocess
import sys

from jadapt import studies

PRINTS = """
import sys
from jadapt.errors import run

def main():
    for line in range(100_000):
        print(line)
{}
run(main)
"""


def piped(end: str = "") -> subprocess.CompletedProcess:
    """Return what is left of a script that prints much to `head`, with its own exit status."""
    return subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -n 1; exit ${PIPESTATUS[0]}',
         sys.executable, PRINTS.format(end)],
        cwd=studies.ROOT / "scripts", capture_output=True, text=True,
    )  # fmt: skip


def test_a_reader_that_has_seen_enough_is_no_error():
    done = piped()
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_another_broken_pipe_is_one():
    script = PRINTS.format("    raise BrokenPipeError('of a child')").replace("100_000", "1")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=studies.ROOT / "scripts", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "BrokenPipeError: of a child" in done.stderr
