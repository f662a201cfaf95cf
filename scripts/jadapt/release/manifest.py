"""The manifest of a study: what was computed, from what, by which code, where and at what cost."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jadapt.config.runs import run_settings
from jadapt.config.studies import Study
from jadapt.core.files import read_json, sha256_file
from jadapt.core.released import FORMAT_VERSION
from jadapt.release.front_records import record
from jadapt.workflow import preloaded

HOUR = 3600
SPLITS = ("train", "validation", "test")
# Stages of the workflow that use the accelerator of the run they are named after.
ACCELERATED = ("pretrain", "adapt", "search", "ablations")
# Stages that only present the tables do not count as costs of the study.
AFTERWARDS = ("manifest", "figures", "tables", "paper")


def build(study: Study, settings: dict, tables: Iterable[str]) -> dict[str, Any]:
    """Return the manifest of a finished study.

    Args:
        study: the study; its configuration says what it consists of.
        settings: what is recorded as its configuration: the model's entry in full.
        tables: names of its tables.

    Returns:
        ``tables``, ``runs``, ``searches``, ``tokens``, ``corpora`` with SHA-256 sums, ``compute``
        in seconds and hours by stage, and ``commits``, ``locks``, ``devices`` and ``versions``:
        lists of what occurs among the runs, of one element each in a study of one piece.
    """
    runs = [_run(study, run, seed) for run, seed in study.runs]
    return {
        "format_version": FORMAT_VERSION,
        "study": study.name,
        "commits": distinct(run["commit"] for run in runs),
        "locks": distinct(run["lock"] for run in runs),
        "devices": distinct(run["device"] for run in runs),
        "versions": distinct(run.pop("versions") for run in runs),
        "compute": compute(study.results / "benchmarks", study.config),
        "tables": {name: described(study.table(name)) for name in tables},
        "tokenizer": sha256_file(study.tokenizer),
        "tokens": tokens(study),
        "corpora": corpora(study),
        "runs": runs,
        **_fronts(study),
        "searches": {f"{p.parent.name}/{p.stem}": sha256_file(p) for p in study.searches},
        "settings": settings,
    }


def _fronts(study: Study) -> dict[str, Any]:
    """Describe the fronts, in a study that has some."""
    if not study.fronts:
        return {}
    return {"fronts": {run: record(study, run) for run in study.fronts}, "not_run": []}


def tokens(study: Study) -> dict[str, Any]:
    """Describe the token files that runs and evaluations read, by domain and split."""
    keys = ("tokens_sha256", "corpus_sha256", "tokens", "bytes")
    found = {name: read_json(study.tokens(name)) for name in study.token_files}
    return {name: {key: meta[key] for key in keys} for name, meta in found.items()}


def corpora(study: Study) -> dict[str, Any]:
    """Describe the corpora, by domain."""
    return {domain: corpus(study.corpus(domain)) for domain in study.config["corpora"]["domains"]}


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return what occurs, each once, in order of appearance."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _run(study: Study, name: str, seed: int) -> dict[str, Any]:
    path = study.run_file(name, seed)
    run = read_json(path)
    settings = run["settings"]
    # Of a run that was killed, training_seconds covers all attempts, but seconds only the last.
    seconds = max(run["seconds"], run["training_seconds"])
    devices = settings["devices"] if settings["accelerator"] == "gpu" else 0
    return {
        "run": name,
        "seed": seed,
        "commit": run["commit"],
        "lock": run.get("lock"),
        "device": run["device"],
        "versions": run["versions"],
        "learning_rate": settings["learning_rate"],
        "seconds": seconds,
        "gpu_hours": seconds * devices / HOUR,
        # A published model was not trained here and has no training loss.
        "diverged": run["final_training_loss"] is not None
        and not math.isfinite(run["final_training_loss"]),
        "run_sha256": sha256_file(path),
        "log_sha256": sha256_file(path.with_name("train.jsonl")),
        "evaluation_sha256": sha256_file(study.evaluation(name, seed)),
    }


def described(path: Path) -> dict[str, Any]:
    """Describe a table by its checksum, bytes and rows."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = sum(1 for _ in csv.reader(stream)) - 1
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size, "rows": rows}


def corpus(path: Path) -> dict[str, Any]:
    """Describe a corpus by its manifest, with the SHA-256 of the text of each split."""
    manifest = read_json(path)
    fields = ("kind", "licence", "attribution", "homepage", "package", "version", "pins")
    return {
        "available": manifest["available"],
        "language": manifest["language"],
        "documents": manifest["total"]["documents"],
        "splits": {split: sha256_file(path.with_name(f"{split}.jsonl")) for split in SPLITS},
        "sources": {
            name: {key: source[key] for key in fields if key in source}
            | {"bytes": sum(file["bytes"] for file in source["files"])}
            # Lists of pinned files have their own checksums, so only short lists are repeated.
            | ({"files": source["files"]} if "pins" not in source else {})
            for name, source in manifest["sources"].items()
        },
    }


def compute(benchmarks: Path, settings: dict) -> dict[str, Any]:
    """Sum Snakemake's measurements of the jobs of a study.

    Returns:
        ``stages`` with ``jobs``, ``seconds`` (of the processes, so more than one waits where jobs
        run side by side), ``cpu_seconds`` and ``gpu_hours``, and the totals of the same names.
    """
    stages: dict[str, dict[str, Any]] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        parts = path.relative_to(benchmarks).with_suffix("").parts
        if parts[0] in AFTERWARDS:
            continue
        row = benchmark(path)
        stage = stages.setdefault(
            parts[0], {"jobs": 0, "seconds": 0.0, "cpu_seconds": 0.0, "gpu_hours": 0.0}
        )
        stage["jobs"] += 1
        stage["seconds"] += row["s"]
        stage["cpu_seconds"] += row["cpu_time"]
        stage["gpu_hours"] += row["s"] * _gpus(parts, settings) / HOUR
    names = ("jobs", "seconds", "cpu_seconds", "gpu_hours")
    return {name: sum(stage[name] for stage in stages.values()) for name in names} | {
        "stages": stages
    }


def benchmark(path: Path) -> dict[str, float]:
    """Read one of Snakemake's benchmark files; missing measurements count as 0.

    What a preloaded process took for the job, which Snakemake does not see, stands in the log of
    the same name.
    """
    with open(path, encoding="utf-8", newline="") as stream:
        row = next(csv.DictReader(stream, delimiter="\t"))
    found = {key: _number(row.get(key)) for key in ("s", "cpu_time", "max_rss")}
    results, _, name = path.as_posix().rpartition("/benchmarks/")
    used = preloaded.usage(Path(results, "logs", name).with_suffix(".log"))
    found["cpu_time"] += used.get("cpu_time", 0.0)
    found["max_rss"] = max(found["max_rss"], used.get("max_rss", 0.0))
    return found


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return 0.0


def _gpus(parts: tuple[str, ...], settings: dict) -> int:
    """Return how many accelerators the job of a benchmark file held."""
    if parts[0] not in ACCELERATED:
        return 0
    run = "base" if parts[0] == "pretrain" else parts[1]
    if parts[0] == "ablations":
        run = settings["ablations"].get(run, {}).get("run")
    if run != "base" and run not in settings["methods"]:
        return 0
    of_run = run_settings(settings, run)
    return of_run["devices"] if of_run["accelerator"] == "gpu" else 0
