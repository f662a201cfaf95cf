"""The progress of a study: which runs are done, running, failed or waiting, and the time left."""

from __future__ import annotations

import fcntl
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jadapt.config import budget, runs
from jadapt.config.studies import Study
from jadapt.core.files import read_json, read_log
from jadapt.release.manifest import benchmark

DONE, TRAINED, RUNNING, FAILED, WAITING = "done", "trained", "running", "failed", "waiting"


@dataclass(frozen=True)
class Progress:
    """The progress of one run: state, steps over all tasks, and remaining seconds if known.

    ``note`` is the task and loss of a running run, and the last line of the log of a failed one.
    """

    run: str
    seed: int
    state: str
    steps: int
    of: int
    seconds_left: float | None
    note: str = ""

    @property
    def name(self) -> str:
        """Run and seed in words."""
        return f"{self.run}, seed {self.seed}"


def progress(study: Study) -> list[Progress]:
    """Return the progress of every run, from its files."""
    speeds = seconds_a_step(study)
    return [_progress(study, run, seed, speeds) for run, seed in study.runs]


def _progress(study: Study, run: str, seed: int, speeds: dict[str, float]) -> Progress:
    settings = runs.run_settings(study.config, run)
    total = sum(budget.steps(settings, task) for task in settings["sequence"])
    if study.run_file(run, seed).is_file():
        state = DONE if study.evaluation(run, seed).is_file() else TRAINED
        return Progress(run, seed, state, total, total, 0.0)
    folder = study.results / "checkpoints" / run / f"seed{seed}"
    steps, last = _last_line(folder, settings)
    speed = speeds.get(run, statistics.mean(speeds.values()) if speeds else None)
    own = _seconds_a_step(last, settings)
    speed = own if own is not None else speed
    left = None if speed is None else (total - steps) * speed
    if locked(folder.with_name(f"{folder.name}.lock")):
        loss = f", loss {last['training_loss']:.3f}" if "training_loss" in last else ""
        return Progress(run, seed, RUNNING, steps, total, left, f"{last.get('task', '')}{loss}")
    words = failure(_logs(study, run, seed))
    return Progress(run, seed, FAILED if words else WAITING, steps, total, left, words)


def locked(path: Path) -> bool:
    """Tell whether a training process holds the lock of its run."""
    if not path.is_file():
        return False
    with open(path, encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _last_line(folder: Path, settings: dict) -> tuple[int, dict]:
    """Return the number of steps done over all tasks, and the last line of the training log."""
    done = 0
    last: dict = {}
    for task in settings["sequence"]:
        path = folder / task / "train.jsonl"
        lines = read_log(path)
        trained = [line for line in lines if "training_loss" in line]
        done += budget.steps(settings, task) if (folder / task / "finished.json").is_file() else (
            max((line["step"] for line in trained), default=0)
        )  # fmt: skip
        last = trained[-1] if trained else last
    return done, last


def _seconds_a_step(line: dict, settings: dict) -> float | None:
    speed = line.get("tokens_per_second")
    return settings["global_batch_size"] * settings["sequence_length"] / speed if speed else None


def seconds_a_step(study: Study) -> dict[str, float]:
    """Return the mean seconds per step of finished runs, with everything around the steps."""
    found: dict[str, list[float]] = {}
    for run, seed in study.runs:
        path = study.run_file(run, seed)
        if run != "base" and path.is_file():
            report = read_json(path)
            seconds = max(report["seconds"], report["training_seconds"])
            found.setdefault(run, []).append(seconds / report["steps"])
    return {run: statistics.mean(values) for run, values in found.items()}


def _logs(study: Study, run: str, seed: int) -> list[Path]:
    logs = study.results / "logs"
    if run == "base":
        return [logs / "pretrain.log"]
    batch = next(batch for batch in runs.seed_batches(study.config) if seed in batch)
    alone = "_".join(map(str, ["seeds", *batch]))
    return [logs / "adapt" / run / f"{name}.log" for name in ("seeds", alone)]


def failure(logs: Iterable[Path]) -> str:
    """Return the last line of a log that ends with an error, else an empty string."""
    for path in logs:
        if not path.is_file():
            continue
        lines = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
        if lines and (lines[-1].startswith("error:") or "Error" in lines[-1]):
            return f"{lines[-1].strip()[:100]} ({path})"
    return ""


def searches(study: Study) -> tuple[int, int, float | None]:
    """Return the number of finished grids and ablations, their total, and remaining seconds."""
    paths = study.searches
    done = [path for path in paths if path.is_file()]
    folder = study.results / "benchmarks"
    times = [
        benchmark(file)["s"]
        for path in done
        if (file := folder / path.parent.name / f"{path.stem}.tsv").is_file()
    ]
    left = len(paths) - len(done)
    if not left:
        return len(done), len(paths), 0.0
    return len(done), len(paths), statistics.mean(times) * left if times else None


def report(study: Study, jobs: int) -> list[str]:
    """Return the lines of ``make status``.

    Args:
        study: the study.
        jobs: how many runs are trained side by side.
    """
    found = progress(study)
    lines = [headline(study, found, jobs)]
    for state in (RUNNING, FAILED, TRAINED, WAITING):
        part = [each for each in found if each.state == state]
        lines += [f"  {state:<8} {_line(each)}" for each in part[: None if state != WAITING else 0]]
        if state == WAITING and part:
            lines.append(f"  waiting  {_names(part)}")
    return lines


def headline(study: Study, found: list[Progress], jobs: int) -> str:
    """Return how far the study is, in one line."""
    done, total, search_left = searches(study)
    finished = sum(each.state in (DONE, TRAINED) for each in found)
    counts = {state: sum(each.state == state for each in found) for state in (RUNNING, FAILED)}
    words = [f"{study.name}: {finished} of {len(found)} runs", f"{done} of {total} searches"]
    words += [f"{count} {state}" for state, count in counts.items() if count]
    left = [each.seconds_left for each in found] + [search_left]
    if all(seconds == 0 for seconds in left):
        words.append("all trained")
    elif any(seconds is None for seconds in left):
        words.append("time left unknown until the first of each kind is finished")
    else:
        total_left = sum(seconds or 0 for seconds in left)
        words.append(f"about {duration(total_left / jobs)} left with {jobs} at a time")
    return ", ".join(words)


def _line(each: Progress) -> str:
    left = f", {duration(each.seconds_left)} left" if each.seconds_left else ""
    note = f" ({each.note})" if each.note else ""
    return f"{each.name}: step {each.steps} of {each.of}{left}{note}"


def _names(part: list[Progress]) -> str:
    of: dict[str, list[str]] = {}
    for each in part:
        of.setdefault(each.run, []).append(str(each.seed))
    return "; ".join(f"{run} ({', '.join(seeds)})" for run, seeds in of.items())


def duration(seconds: float) -> str:
    """Return a time in words: seconds, minutes, or hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
