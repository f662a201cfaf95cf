"""Jobs in children of a preloaded process: like processes of their own, whatever befalls it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jadapt.workflow import preloaded

# Stands for what takes ten seconds to import.
HEAVY = "import os\nLOADED_BY = os.getpid()\nos.environ['SET_BY_IMPORT'] = 'yes'\n"
JOB = """
import os, random, signal, sys, time
from jadapt.workflow.preloaded import run

def main():
    import heavy
    print("preloaded" if heavy.LOADED_BY != os.getpid() else "alone", flush=True)
    {}

run(main)
"""
DESCRIBE = """
    import json, numpy, resource, tempfile, threading
    names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD", "SIGPIPE", "SIGUSR1"]
    tempfile.gettempdir()
    print(json.dumps({
        "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "folder": os.getcwd(),
        "environment": {k: v for k, v in os.environ.items() if k != "_"}, "umask": os.umask(0),
        "handlers": [str(signal.getsignal(getattr(signal, name))) for name in names],
        "blocked": [*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))],
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE), "nice": os.nice(0),
        "processors": sorted(os.sched_getaffinity(0)), "threads": threading.active_count(),
        "name": __name__, "file": __file__, "main": sys.modules["__main__"].__file__,
        "temporary": tempfile.gettempdir(), "buffering": sys.stdout.line_buffering,
        "open": sorted(map(int, os.listdir("/proc/self/fd")))[:4], "input": sys.stdin.read(),
    }, sort_keys=True))
    print(random.random(), numpy.random.rand(), file=sys.stderr)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder where a server may be, with a module that stands for NeMo."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heavy.py").write_text(HEAVY)
    places = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    scripts = str(Path(preloaded.__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*places, scripts]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in (preloaded.SWITCH, *preloaded.ELSEWHERE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def server(place):
    started = preloaded.Server()
    yield started_and_ready(started)
    started.stop()


def started_and_ready(server, *modules):
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    server.start("--modules", "heavy", "numpy", *modules)
    wait_until(lambda: list(preloaded.FOLDER.glob("*.socket")))
    return server


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def environment(**changes):
    """The variables of this process, but for the one that pytest changes all the time."""
    found = {**os.environ, **changes}
    found.pop("PYTEST_CURRENT_TEST", None)
    return found


def command(place, does="pass", name="job.py"):
    path = place / name
    path.write_text(JOB.format(does.strip()))
    return [sys.executable, str(path)]


def job(place, does="pass", *words, **changes):
    """Run a job to its end."""
    return subprocess.run(
        [*command(place, does), *words], env=environment(**changes), capture_output=True,
        text=True, check=False, timeout=60, input="typed",
    )  # fmt: skip


@pytest.fixture
def started(place):
    """A function that starts a job and returns it with the process that does its work."""
    jobs = []

    def start(does):
        done = subprocess.Popen(
            command(place, f"print(os.getpid(), flush=True)\n    {does}"), env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        jobs.append(done)
        assert done.stdout.readline() == "preloaded\n"
        return done, int(done.stdout.readline())

    yield start
    for each in jobs:
        each.kill()
        each.communicate()


def alone(done, why):
    """Check that the job started by itself, succeeded, and said why in one line."""
    assert (done.returncode, done.stdout) == (0, "alone\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("the preloaded process ") and why in line, line
    assert line.endswith("; this job starts by itself")


def test_without_a_server_a_job_says_nothing_of_it(place):
    done = job(place)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alone\n", "")


def test_a_child_is_like_a_process_started_afresh(server, place):
    words = ("--settings", '{"name": "日本語"}', "")
    changes = {"TMPDIR": str(place), "OMP_NUM_THREADS": "2", "OLDPWD": "/"}
    served = job(place, DESCRIBE, *words, **changes)
    own = job(place, DESCRIBE, *words, **changes, JADAPT_PRELOADED="no")
    assert served.returncode == own.returncode == 0, served.stderr
    first, text = served.stdout.splitlines()
    assert first == "preloaded"
    wanted = json.loads(own.stdout.splitlines()[1])
    del wanted["environment"][preloaded.SWITCH]
    found = json.loads(text)
    assert found.pop("environment").items() ^ wanted.pop("environment").items() == set()
    assert found == wanted
    *draws, usage = served.stderr.splitlines()
    assert usage.startswith("in a preloaded process: cpu_time=")
    # Two children draw other numbers, as two processes do.
    assert job(place, DESCRIBE).stderr.splitlines()[0] != draws[0]


@pytest.mark.parametrize(
    ("does", "status", "last"),
    [
        ("return 3", 3, ""),
        ("sys.exit('stopped')", 1, "stopped"),
        ("raise ValueError('odd')", 1, "ValueError: odd"),
        ("from jadapt.core.errors import UserError; raise UserError('key: bad')", 1,
         "error: key: bad"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -11, ""),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
        ("import atexit; atexit.register(print, 'bye', file=sys.stderr); sys.exit(4)", 4, "bye"),
    ],
)  # fmt: skip
def test_a_job_ends_as_its_child_does(server, place, does, status, last):
    done = job(place, does)
    assert (done.returncode, done.stdout) == (status, "preloaded\n"), done.stderr
    assert ([*done.stderr.splitlines(), ""][-2 if done.stderr else -1]) == last


def test_several_jobs_at_once_write_to_their_own_streams(server, place):
    script = command(place, "time.sleep(0.3); print(sys.argv[1])")
    jobs = [
        subprocess.Popen([*script, str(n)], env=environment(), stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    assert [each.communicate(timeout=60)[0] for each in jobs] == [
        f"preloaded\n{n}\n" for n in range(4)
    ]


def test_signals_reach_the_child(server, started):
    caught = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
    done, _ = started(caught + "print('ready', flush=True); time.sleep(60)")
    assert done.stdout.readline() == "ready\n"
    done.terminate()
    assert done.wait(20) == 7
    done, _ = started("time.sleep(60)")
    done.send_signal(signal.SIGINT)
    assert done.wait(20) == -signal.SIGINT
    assert done.stderr.read().splitlines()[-1] == "KeyboardInterrupt"


def test_the_child_of_a_killed_job_is_killed_with_what_it_started(server, started):
    does = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); "
    done, child = started(does + "time.sleep(60)")
    grandchild = int(done.stdout.readline())
    done.kill()
    done.wait()
    wait_until(lambda: not running(child) and not running(grandchild))


def running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_end_of_the_server_harms_no_job(server, started, place):
    done, _ = started("time.sleep(1); print('finished'); return 5")
    server._process.kill()
    assert done.communicate(timeout=20)[0] == "finished\n"
    assert done.returncode == 5
    alone(job(place), "has died")


def test_a_job_whose_supervisor_is_killed_fails_with_one_line(server, started):
    done, child = started("time.sleep(60)")
    psutil.Process(child).parent().kill()
    _, text = done.communicate(timeout=20)
    assert done.returncode == 1
    assert text == "error: the preloaded process that did this job was killed\n"
    wait_until(lambda: not running(child))


def test_the_server_ends_with_the_process_that_started_it(place):
    code = (
        "import os, time; from jadapt.workflow import preloaded; s = preloaded.Server()\n"
        "s.start('--modules', 'heavy'); print(s._process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    server = int(starter.stdout.readline())
    wait_until(lambda: list(preloaded.FOLDER.glob("*.socket")))
    starter.kill()
    starter.communicate()
    wait_until(lambda: not running(server))
    assert not list(preloaded.FOLDER.glob("*.socket"))


def test_a_stopped_server_leaves_nothing_that_jobs_would_mention(server, place):
    server.stop()
    assert not list(preloaded.FOLDER.glob("*.socket"))
    done = job(place)
    assert (done.stdout, done.stderr) == ("alone\n", "")


def test_a_server_that_hangs_starts_nothing_when_it_wakes_up(server, place, monkeypatch):
    does = "open('done', 'a').write('once ')"
    script = command(place, does)
    text = Path(script[1]).read_text().replace(
        "run(main)", "from jadapt.workflow import preloaded; preloaded.ANSWER = 0.5; run(main)"
    )  # fmt: skip
    Path(script[1]).write_text(text)
    server._process.send_signal(signal.SIGSTOP)
    done = subprocess.run(script, env=environment(), capture_output=True, text=True, timeout=60)
    alone(done, "has not answered for 0.5 s")
    server._process.send_signal(signal.SIGCONT)
    done = subprocess.run(script, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "preloaded\n"
    assert (place / "done").read_text() == "once once "


def test_a_server_of_other_code_is_not_used(server, place):
    (path,) = preloaded.FOLDER.glob("*.socket")
    path.rename(path.with_name(f"{os.getuid()}-{'0' * 16}-1.socket"))
    alone(job(place), "is of other code")


def test_any_change_of_code_is_other_code(tmp_path, monkeypatch):
    monkeypatch.setattr(preloaded, "SCRIPTS", tmp_path)
    (tmp_path / "room").mkdir()
    source = tmp_path / "room/module.py"
    source.write_text("1\n")
    first = preloaded.identity()
    assert preloaded.identity() == first
    source.write_text("2\n")
    assert preloaded.identity() != first
    source.write_text("1\n")
    assert preloaded.identity() == first
    source.rename(source.with_name("other.py"))
    assert preloaded.identity() != first


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_server_of_another_user_is_not_used(place):
    preloaded.FOLDER.mkdir(mode=0o700, parents=True)
    path = preloaded.FOLDER / f"{preloaded.prefix()}1.socket"
    # The kernel notes who called `listen`.
    code = (
        "import os, socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])\n"
        "os.setuid(65534); s.listen(); print(flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    other.stdout.readline()
    alone(job(place), "is another user's")
    os.chown(preloaded.FOLDER, 65534, 65534)
    alone(job(place), "is another user's")
    other.kill()
    other.communicate()


def test_a_folder_that_others_may_write_to_is_not_trusted(server, place):
    assert preloaded.FOLDER.stat().st_mode & 0o777 == 0o700
    (path,) = preloaded.FOLDER.glob("*.socket")
    assert path.stat().st_mode & 0o777 == 0o600
    preloaded.FOLDER.chmod(0o777)
    alone(job(place), "may be anybody's")


@pytest.mark.parametrize("held", ["is_initialized", "_is_in_bad_fork"])
def test_a_server_that_holds_a_gpu_is_not_used(place, held):
    (place / "gpu.py").write_text(
        "import sys, types\ncuda = types.SimpleNamespace(is_initialized=lambda: False, "
        f"_is_in_bad_fork=lambda: False)\ncuda.{held} = lambda: True\n"
        "sys.modules['torch'] = types.SimpleNamespace(cuda=cuda)\n"
    )
    server = started_and_ready(preloaded.Server(), "gpu")
    try:
        alone(job(place), "holds a GPU")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"HF_HOME": "/elsewhere"}, "was started with another HF_HOME"),
        ({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}, "needs one number of threads"),
        ({"OMP_NUM_THREADS": ""}, "needs one number of threads"),
    ],
)
def test_another_environment_is_refused(server, place, changes, why):
    alone(job(place, **changes), why)


@pytest.mark.parametrize("name", sorted(preloaded.ELSEWHERE))
def test_one_of_several_processes_and_a_job_of_a_cluster_look_for_no_server(server, place, name):
    done = job(place, **{name: "1"})
    assert (done.stdout, done.stderr) == ("alone\n", "")


def test_a_server_is_started_where_enough_jobs_need_it(place, monkeypatch):
    started = []
    monkeypatch.setattr(preloaded.Server, "start", lambda self, *options: started.append(options))
    few = ["../envs/training.yaml"] * (preloaded.ENOUGH - 1)
    preloaded.Server().serve([*few, "../envs/paper.yaml", None])
    assert started == []
    preloaded.Server().serve([*few, "../envs/training.yaml"])
    assert started == [()]


def test_what_a_child_took_is_read_from_the_log_of_its_job(server, place):
    log = place / "job.log"
    done = job(place, "sum(range(3_000_000))")
    log.write_text(done.stdout + done.stderr)
    used = preloaded.usage(log)
    assert 0.01 < used["cpu_time"] < 20 and 5 < used["max_rss"] < 2000
    log.write_text(done.stdout + done.stderr + "error: what came after\n")
    assert preloaded.usage(log) == {}
    assert preloaded.usage(place / "none.log") == {}


def test_a_server_with_threads_serves_nobody(place):
    (place / "busy.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    server = preloaded.Server()
    server.start("--modules", "busy")
    assert server._process.wait(30) == 1
    server.stop()
    (log,) = preloaded.FOLDER.glob("*.log")
    assert log.read_text().startswith("error: threads run after the imports")
    assert job(place).stdout == "alone\n"
