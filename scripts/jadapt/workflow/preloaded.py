"""Jobs as children of a process that has imported NeMo already, instead of after ten seconds.

One server a run of the workflow (`scripts/preload.py`, see `jadapt.workflow.preloaded_server`)
imports what jobs need and forks a child for each. The command of a job stays what it is: the script
hands its arguments, environment and streams to the server, passes signals on, and ends as the child
does. The child is killed if the script is; it outlives the server. Whatever is odd about the server
(dead, hanging, of other code, of another user, holding a GPU), the job says so in a line and does
its work by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from jadapt.core import errors
from jadapt.core.paths import SCRIPTS

# Relative, as the path of a socket may have 107 bytes only; jobs run where the workflow does.
FOLDER = Path(".cache/preloaded")
# Set to "no", nothing is started and nothing is looked for.
SWITCH = "JADAPT_PRELOADED"
# One of several processes of a run, which inherits more than three streams; a job of a cluster.
ELSEWHERE = frozenset({"LOCAL_RANK", "SLURM_JOB_ID"})
# A library reads these when it is loaded; a child is set to what they say by other means.
THREADS = frozenset(
    f"{name}_THREADS"
    for name in ("OMP_NUM", "OPENBLAS_NUM", "GOTO_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
)
# Seconds in which a server that is well has forked.
ANSWER = 10.0
GO = 0
# The stage of the rules whose jobs import what the server does, and how many jobs are worth it.
ENVIRONMENT, ENOUGH = "training.yaml", 4
PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]
# Seconds and MiB, in the names of Snakemake's benchmark files.
USAGE = "in a preloaded process: cpu_time={cpu_time:.2f} max_rss={max_rss:.2f}"

# True in a child of the server.
inside = False


class Unfit(Exception):
    """Why no server can do the work of this job."""


def run(main: Callable[[], int | None]) -> None:
    """Run a script in a child of the preloaded process if there is one, else ``main`` here."""
    if not inside and _may_be_handed_over():
        try:
            found = _server()
            if found is not None:
                _end_as(_handed_over(found))
        except Unfit as error:
            print(
                f"the preloaded process {error}; this job starts by itself",
                file=sys.stderr,
                flush=True,
            )
    errors.run(main)


def identity() -> str:
    """Return a checksum of all code of the project and of the environment it runs in."""
    digest = hashlib.sha256(f"{sys.version}\0{sys.prefix}".encode())
    digest.update(str(Path(sysconfig.get_path("purelib")).stat().st_mtime_ns).encode())
    for path in sorted(SCRIPTS.rglob("*.py")):
        digest.update(f"\0{path.relative_to(SCRIPTS)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def prefix() -> str:
    """Return how the names of the sockets begin that this code of this user is served at."""
    return f"{os.getuid()}-{identity()}-"


def peer(connection: socket.socket) -> int:
    """Return the user at the other end, as the kernel knows it."""
    layout = struct.Struct("3i")
    words = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
    return layout.unpack(words)[1]


def write_line(connection: socket.socket, message: dict) -> None:
    """Send one object as a line."""
    connection.sendall(json.dumps(message).encode() + b"\n")


def read_line(connection: socket.socket) -> dict:
    """Receive one object; {} when the other end is gone."""
    with connection.makefile("rb") as stream:
        line = stream.readline()
    return json.loads(line) if line.endswith(b"\n") else {}


def _may_be_handed_over() -> bool:
    # With options of the interpreter, the two differ.
    plain = sys.orig_argv[1:] == sys.argv and hasattr(socket, "SO_PEERCRED")
    return plain and os.environ.get(SWITCH) != "no" and not ELSEWHERE & set(os.environ)


def _server() -> socket.socket | None:
    """Return a connection to a server of this code; None where nobody has started any.

    Raises:
        Unfit: there are servers, none of them is to be used.
    """
    try:
        state = FOLDER.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
        raise Unfit(f"is another user's ({FOLDER})")
    if state.st_mode & 0o077:
        raise Unfit(f"may be anybody's ({FOLDER} is open to other users)")
    paths = sorted(FOLDER.glob("*.socket"))
    own, why = prefix(), "is of other code"
    for path in paths:
        if not path.name.startswith(own):
            continue
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            refused = isinstance(error, ConnectionRefusedError | FileNotFoundError)
            why = "has died" if refused else f"cannot be reached ({error})"
            continue
        if peer(connection) == os.getuid():
            return connection
        connection.close()
        why = f"is another user's ({path})"
    if paths:
        raise Unfit(why)
    return None


def _handed_over(connection: socket.socket) -> dict:
    """Have the child of a server do the work; return how that ended.

    Raises:
        Unfit: the server does not take it, or does not answer; nothing has been started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with connection:
        try:
            # Streams wait for nobody: who reads them would wait for an end as long as the server
            # hangs.
            answer = read_line(connection)
            if answer:
                socket.send_fds(connection, [b"\0"], [0, 1, 2])
                write_line(connection, _described())
                answer = read_line(connection)
        except TimeoutError:
            raise Unfit(f"has not answered for {ANSWER:g} s") from None
        except OSError as error:
            raise Unfit(f"cannot be reached ({error})") from None
        if "ready" not in answer:
            raise Unfit(answer.get("refused", "has died"))

        def pass_on(number: int, frame: object) -> None:
            with suppress(OSError):
                connection.send(bytes([number]))

        for number in PASSED_ON:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, pass_on)
        connection.settimeout(None)
        # Only now, so that a server that wakes up later starts nothing a second time.
        try:
            connection.send(bytes([GO]))
            return read_line(connection)
        except OSError:
            return {}


def _described() -> dict:
    """Return what a child needs to be like this process."""
    os.umask(mask := os.umask(0))
    return {
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "umask": mask,
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
        "processors": sorted(os.sched_getaffinity(0)),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
    }


def _end_as(ended: dict) -> NoReturn:
    """End this process as the child did, by the same signal if by one."""
    if "status" not in ended:
        print("error: the preloaded process that did this job was killed", file=sys.stderr)
        sys.exit(1)
    status = ended["status"]
    if status < 0:
        with suppress(OSError):
            signal.signal(-status, signal.SIG_DFL)
        # What the kernel keeps of the child's memory is enough.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        os.kill(os.getpid(), -status)
    if status == 0:
        # Snakemake measures the children of a job's command, and the one that worked is none.
        print(USAGE.format(**ended), file=sys.stderr)
    sys.exit(status)


def usage(log: Path) -> dict[str, float]:
    """Return what a child took by the log of its job; {} of a job that did its work by itself."""
    text = log.read_text("utf-8", "replace") if log.is_file() else ""
    pattern = re.sub(r"{(\w+):.2f}", r"(?P<\1>[0-9.]+)", USAGE)
    found = re.search(rf"^{pattern}$\s*\Z", text, re.MULTILINE)
    return {name: float(value) for name, value in found.groupdict().items()} if found else {}


class Server:
    """The server of one run of the workflow, which ends with the process that started it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def serve(self, environments: Iterable[str | None]) -> None:
        """Start it if there are enough jobs that it is of use to.

        Args:
            environments: of each job that is to be run, its conda environment, whether used or not:
                the jobs of one of them need torch.
        """
        served = sum(Path(str(name)).name == ENVIRONMENT for name in environments)
        if served >= ENOUGH:
            self.start()

    def start(self, *options: str) -> None:
        """Start ``scripts/preload.py`` in the background, with its log in `FOLDER`."""
        if self._process is not None or os.environ.get(SWITCH) == "no":
            return
        FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        FOLDER.chmod(0o700)
        # A pool of threads does not survive a fork.
        environment = os.environ | dict.fromkeys(THREADS, "1")
        with open(FOLDER / f"{prefix()[:-1]}.log", "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPTS / "preload.py"), *options],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment,
                # Control-C at a terminal reaches the jobs, which pass it on.
                start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        """End it; children that still work go on."""
        if self._process is not None:
            self._process.terminate()
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                self._process.wait(ANSWER)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
