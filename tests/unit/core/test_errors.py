"""How scripts end when nobody reads what they print, and when what they write to is gone."""

import subprocess
import sys

from jadapt.config import studies

PRINTS = """
import sys
from jadapt.core.errors import run

def main():
    for line in range(100_000):
        print(line)
    {}

run(main)
"""


def ended(*command: str) -> subprocess.CompletedProcess:
    """Run a command where scripts find the package."""
    return subprocess.run(command, cwd=studies.ROOT / "scripts", capture_output=True, text=True)


def test_a_reader_that_has_seen_enough_is_no_error():
    piped = '"$0" -c "$1" | head -n 1; exit ${PIPESTATUS[0]}'
    done = ended("bash", "-c", piped, sys.executable, PRINTS.format(""))
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_another_broken_pipe_is_one():
    script = PRINTS.format("raise BrokenPipeError('of a child')").replace("100_000", "1")
    done = ended(sys.executable, "-c", script)
    assert done.returncode == 1 and "BrokenPipeError: of a child" in done.stderr
