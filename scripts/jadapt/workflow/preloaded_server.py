"""The server of `jadapt.workflow.preloaded`: imports once, forks a child for each job.

Three processes work for a job: its command, which waits; a supervisor, forked from the server,
which kills the child if the command is gone and says how the child ended; and the child, which does
what the command would have done. The server itself only forks, so that its end harms no job.

A child is like a process started afresh: same arguments, folder, environment, streams, limits,
processors, signals and random numbers. An environment that differs in what a library may have read
when it was imported is refused.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from jadapt.workflow import preloaded
from jadapt.workflow.preloaded import ANSWER, FOLDER, GO, THREADS, peer, read_line, write_line

# What shells set of their own, and what is read when it is needed.
FREE = THREADS | {
    "_", "PWD", "OLDPWD", "SHLVL", "TMPDIR", "TMP", "TEMP", "TEMPDIR", "CUDA_VISIBLE_DEVICES",
}  # fmt: skip
NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"
PR_SET_PDEATHSIG = 1


def serve(modules: Iterable[str]) -> str:
    """Import ``modules`` and serve until standard input or this process ends.

    Returns:
        In a child, and only there: the script to run, as if it were this program.
    """
    environment = dict(os.environ)
    # torch would ask the driver whether there are GPUs, and a child could not use them any more.
    os.environ[NVML] = "1"
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name}: not imported ({error})", file=sys.stderr)
    # What the imports have set stays, as it would in a process that did them itself.
    del os.environ[NVML]
    if NVML in environment:
        os.environ[NVML] = environment[NVML]
    if threading.active_count() > 1:
        # A fork has none of them, and whatever locks they held.
        sys.exit(f"error: threads run after the imports: {threading.enumerate()}")
    gc.collect()
    gc.freeze()
    _remove_dead()
    path = FOLDER / f"{preloaded.prefix()}{os.getpid()}.socket"
    listener = _listen(path)
    print(f"{path}: {len(sys.modules)} modules, {os.getpid()}", file=sys.stderr, flush=True)
    server = os.getpid()

    def end(*_: object) -> None:
        if os.getpid() == server:
            path.unlink(missing_ok=True)
            # Without the seconds that unloading so many modules takes.
            os._exit(0)

    handlers: dict[signal.Signals, Any] = {
        signal.SIGTERM: end,
        # Supervisors end by themselves, and nobody asks how.
        signal.SIGCHLD: signal.SIG_IGN,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    while (connection := _next(listener)) is not None:
        if os.fork():
            connection.close()
            continue
        for number, handler in before.items():
            signal.signal(number, handler)
        listener.close()
        return _supervise(connection, environment)
    end()
    raise AssertionError("a server does not return")


def _remove_dead() -> None:
    """Remove the sockets of servers that were killed."""
    for path in FOLDER.glob("*.socket"):
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(1)
            try:
                connection.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _listen(path: Path) -> socket.socket:
    """Return a socket that only this user can reach; its name appears when it can be used."""
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        hidden = path.with_suffix(".new")
        listener.bind(str(hidden))
    finally:
        os.umask(mask)
    listener.listen(64)
    hidden.rename(path)
    return listener


def _next(listener: socket.socket) -> socket.socket | None:
    """Wait for the next job; None when standard input has ended."""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    waiting.register(listener, select.POLLIN)
    while True:
        ready = {number for number, _ in waiting.poll()}
        if 0 in ready and not os.read(0, 1):
            return None
        if listener.fileno() in ready:
            return listener.accept()[0]


def _supervise(connection: socket.socket, environment: dict) -> str:
    """Fork the child of a job and wait for both; in the child, return the script to run."""
    supervisor = os.getpid()
    try:
        script = _forked(connection, environment)
    except BaseException as error:
        if os.getpid() != supervisor:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    return script


def _forked(connection: socket.socket, environment: dict) -> str:
    connection.settimeout(ANSWER)
    if peer(connection) != os.getuid():
        os._exit(1)
    write_line(connection, {"supervisor": os.getpid()})
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = read_line(connection)
    why = _difference(request["environment"], environment) or _burden()
    if not why:
        try:
            _take_after(request)
        except (OSError, ValueError) as error:
            why = f"cannot be like this one ({error})"
    write_line(connection, {"refused": why} if why else {"ready": True})
    if why or connection.recv(1) != bytes([GO]):
        os._exit(0)
    supervisor, child = os.getpid(), os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        _wait(connection, child)
    connection.close()
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)
    return _become(request, streams)


def _difference(wanted: dict, own: dict) -> str:
    """Return why a job's environment is not one that this server can give a child, or nothing."""
    names = {
        name for name in (wanted.keys() | own.keys()) - FREE if wanted.get(name) != own.get(name)
    }
    if names:
        return f"was started with another {', '.join(sorted(names))}"
    counts = {wanted[name] for name in THREADS if name in wanted}
    if "OMP_NUM_THREADS" not in wanted or len(counts) > 1 or not min(counts).isdigit():
        return "needs one number of threads, in OMP_NUM_THREADS and the like"
    return ""


def _burden() -> str:
    """Return what this process has that a child must not inherit, or nothing."""
    torch = sys.modules.get("torch")
    # The second is true in a fork of a process that has asked CUDA anything.
    if torch is not None and (torch.cuda.is_initialized() or torch.cuda._is_in_bad_fork()):
        return "holds a GPU"
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(link.readlink()).startswith("/dev/nvidia"):
                return "holds a GPU"
    return ""


def _take_after(request: dict) -> None:
    """Take on what a child inherits.

    Raises:
        OSError, ValueError: this process may not.
    """
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.sched_setaffinity(0, request["processors"])
    if os.getpriority(os.PRIO_PROCESS, 0) != request["niceness"]:
        os.setpriority(os.PRIO_PROCESS, 0, request["niceness"])
    for name, limits in request["limits"].items():
        if resource.getrlimit(getattr(resource, name)) != tuple(limits):
            resource.setrlimit(getattr(resource, name), tuple(limits))


def _wait(connection: socket.socket, child: int) -> NoReturn:
    """Pass signals on to the child, kill it if its command is gone, and say how it ended."""
    with suppress(OSError):
        os.setpgid(child, child)
    ended = os.pidfd_open(child)
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    waiting.register(ended, select.POLLIN)
    while ended not in (ready := {number for number, _ in waiting.poll()}):
        if connection.fileno() in ready:
            # An error, as after a reset, is an end too.
            try:
                numbers = connection.recv(16)
            except OSError:
                numbers = b""
            if not numbers:
                waiting.unregister(connection)
                with suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
            for number in numbers:
                os.kill(child, number)
    _, status, usage = os.wait4(child, 0)
    with suppress(OSError):
        write_line(
            connection,
            {
                "status": os.waitstatus_to_exitcode(status),
                "cpu_time": usage.ru_utime + usage.ru_stime,
                "max_rss": usage.ru_maxrss / 1024,
            },
        )
    os._exit(0)


def _become(request: dict, streams: list[int]) -> str:
    """Be the process that the command of the job would have been; return its script."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Objects that hold the old streams write to the new ones: what lies below has changed.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=os.isatty(1))
    environment = request["environment"]
    for name in FREE:
        os.environ.pop(name, None)
        if name in environment:
            os.environ[name] = environment[name]
    sys.argv[:], sys.orig_argv[:] = request["argv"], request["orig_argv"]
    script = request["argv"][0]
    sys.path[0] = str(Path(script).absolute().parent)
    tempfile.tempdir = None
    preloaded.inside = True
    if "numpy" in sys.modules:
        # Python's own generator does so itself; torch's begins with the same number everywhere.
        sys.modules["numpy"].random.seed()
    _set_threads(int(environment["OMP_NUM_THREADS"]))
    return script


def _set_threads(count: int) -> None:
    """Let the libraries that are loaded use as many threads as if they had found it said so."""
    if count == 1:
        return
    known = set(os.environ)
    from threadpoolctl import threadpool_limits

    # It sets a variable, which the command of the job would not have.
    for name in set(os.environ) - known:
        del os.environ[name]
    threadpool_limits(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
