"""Trains runs of the tiny study as one process a device; started by `test_two_devices`.

    python on_devices.py STUDY WORK CASES.json

Each case has ``name``, ``settings`` and, optionally, ``stop``: raise before this training step;
``large``: treat the model as one whose layers, and what trains of it, are not kept whole.
"""

import json
import sys
from pathlib import Path

import tiny_study
from jadapt.core.errors import UserError, run
from jadapt.training.distributed import launching


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def train(study, work, module, case):
    """Train, publish and report; a case that is refused reports why."""
    from jadapt.training.distributed import ranks
    from jadapt.training.module import AdaptationModule

    calls, original = 0, AdaptationModule.training_step

    def training_step(self, *arguments, **options):
        nonlocal calls
        calls += 1
        if calls == case.get("stop"):
            raise Killed
        return original(self, *arguments, **options)

    AdaptationModule.training_step = training_step
    try:
        trained = tiny_study.run(study, work, module, **case["settings"])
        report = trained.train()
        trained.publish()
    except (Killed, UserError) as error:
        report = {"ended": f"{type(error).__name__}: {error}"}
    finally:
        AdaptationModule.training_step = original
    if ranks.is_rank_zero():
        with open(work / "report.jsonl", "a", encoding="utf-8") as stream:
            stream.write(json.dumps(report) + "\n")


def main():
    """Train every case in turn."""
    study, work, cases = map(Path, sys.argv[1:])
    cases = json.loads(cases.read_text())
    first = {**tiny_study.SETTINGS, **cases[0]["settings"]}

    def all_cases():
        # Imported late, as the process that starts the others needs none of it.
        from jadapt.training.distributed import sharding
        from jadapt.training.module import AdaptationModule

        module = AdaptationModule(study / "model")
        limits = sharding.SMALL, sharding.MESSAGE
        for case in cases:
            sharding.SMALL, sharding.MESSAGE = (0, 0) if case.get("large") else limits
            folder = work / case["name"]
            folder.mkdir(parents=True, exist_ok=True)
            train(study, folder, module, case)

    launching.on_devices(first, all_cases)


if __name__ == "__main__":
    run(main)
