"""Training processes that can be killed by the dozen: forked from a server that has imported NeMo.

Python's fork server imports this module once (`preload`); each attempt is then a process of its
own, which starts in a moment and trains for real.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

import tiny_study
from jadapt.core import errors
from jadapt.training import provenance
from jadapt.training.module import AdaptationModule

EVENTS = "events.json"
# Made once, as it takes two seconds; an attempt tells it which model to load.
_module = AdaptationModule(Path("unknown"))


def context() -> multiprocessing.context.BaseContext:
    """Return the context whose processes are forked from a server that has loaded this module."""
    found = multiprocessing.get_context("forkserver")
    # Before Python 3.12 the server does not take over sys.path, and says nothing of failed imports.
    here = str(Path(__file__).parent)
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here not in places:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*places, here]))
    found.set_forkserver_preload(["fault_trials"])
    return found


def _kill_at(work: Path, kill_at: int | None) -> list[str]:
    """Count training steps and changes to files below ``work``; at a given one, be killed.

    Returns:
        The names of the events so far, which grows.
    """
    events: list[str] = []
    original = AdaptationModule.training_step

    def happen(name: str) -> None:
        if len(events) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        events.append(name)

    def training_step(self, *arguments, **options):
        happen("step")
        return original(self, *arguments, **options)

    def audit(event: str, arguments: tuple) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"):
            return
        changes = event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if changes and str(arguments[0]).startswith(f"{work}/"):
            happen(f"{event} {Path(os.fsdecode(arguments[0])).relative_to(work)}")

    AdaptationModule.training_step = training_step
    sys.addaudithook(audit)
    return events


def train(study: Path, work: Path, settings: dict, kill_at: int | None, limit: int | None) -> None:
    """Train a run of the tiny study as `scripts/train.py` does, in this process.

    Args:
        study: what `tiny_study.build` wrote.
        work: where checkpoints, output and ``log`` (standard error) go.
        settings: what differs from `tiny_study.SETTINGS`.
        kill_at: the number of the event before which the process is killed.
        limit: bytes that no file may exceed, in the place of a full disk.
    """
    work.mkdir(parents=True, exist_ok=True)
    sys.stderr = open(work.parent / f"{work.name}.log", "a", encoding="utf-8", buffering=1)  # noqa: SIM115
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    _module.model_name = str(study / "model")
    events = _kill_at(work, kill_at)
    with errors.one_line():
        run = tiny_study.run(study, work, _module, **settings)
        with provenance.alone(run.places.checkpoints):
            expected = provenance.fingerprint(run.settings, run.places.model, run.places.tokens)
            provenance.claim(run.places.checkpoints, expected)
            run.train()
            run.publish()
    names = list(events)
    with suppress(OSError):
        (work.parent / f"{work.name}.{EVENTS}").write_text(json.dumps(names))


class Attempts:
    """Starts attempts one after another and says how they ended."""

    def __init__(self, study: Path):
        self.study = study
        self._context = context()

    def run(
        self, work: Path, settings: dict, kill_at: int | None = None, limit: int | None = None
    ) -> int:
        """Train; return the exit status, -9 of a killed process."""
        process = self._context.Process(
            target=train, args=(self.study, work, settings, kill_at, limit)
        )
        process.start()
        process.join()
        return process.exitcode

    @staticmethod
    def log(work: Path) -> str:
        """Return what all attempts printed on standard error."""
        return (work.parent / f"{work.name}.log").read_text(encoding="utf-8")

    @staticmethod
    def events(work: Path) -> list[str]:
        """Return the events of an attempt that was not killed."""
        return json.loads((work.parent / f"{work.name}.{EVENTS}").read_text(encoding="utf-8"))
