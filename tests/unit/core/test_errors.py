"""How scripts end when nobody reads what they print, and when what they write to is gone."""

import errno
import os
import subprocess
import sys

import pytest

from jadapt.config import studies
from jadapt.core import errors

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


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "chmod"), (errno.EPERM, "chmod"), (errno.EROFS, "can be written to"),
        (errno.EIO, "fails"), (errno.ESTALE, "file server"), (errno.ENAMETOOLONG, "shorten"),
        (errno.ELOOP, "link"), (errno.EISDIR, "a folder is in the place"),
        (errno.ENOTDIR, "a file is in the place"), (errno.EMFILE, "ulimit"),
        (errno.ENFILE, "too many open files"), (errno.ENOSPC, "free some room"),
        (errno.EDQUOT, "free some room"), (errno.EFBIG, "free some room"),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_one_line_with_file_and_remedy(capsys, code, words):
    with pytest.raises(SystemExit) as ended, errors.one_line():
        raise OSError(code, os.strerror(code), "some/file")
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: some/file: {os.strerror(code)}; ")
    assert words in line


def test_a_mistake_of_the_programs_keeps_its_traceback():
    for error in (
        FileNotFoundError(errno.ENOENT, "x", "y"),
        OSError(errno.EIO, "x"),
        KeyError("x"),
    ):
        with pytest.raises(type(error)), errors.one_line():
            raise error
