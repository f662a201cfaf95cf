"""Print where the time and memory of a finished study went, beside what they should be."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from jadapt.release import manifest

MINUTE = 60
# The limit of the default study; the goal is 12 minutes.
LIMIT_WALL_SECONDS = 20 * MINUTE
LIMIT_MEMORY_MIB = 4096
LIMIT_DRY_RUN_SECONDS = 3


def jobs(folder: Path) -> list[dict]:
    """Read Snakemake's benchmark files: rule, seconds, peak memory in MiB, start and end."""
    found = []
    for path in sorted(folder.rglob("*.tsv")):
        row = manifest.benchmark(path)
        seconds, end = row["s"], path.stat().st_mtime
        found.append(
            {
                "stage": path.relative_to(folder).parts[0].removesuffix(".tsv"),
                "seconds": seconds,
                "memory": row["max_rss"],
                "start": end - seconds,
                "end": end,
            }
        )
    if not found:
        sys.exit(f"error: {folder}: no benchmark files; run `make paper` first")
    return found


def print_stages(found: list[dict]) -> None:
    """Print a line a stage, in the order in which the stages began."""
    print(f"{'stage':<16}{'jobs':>6}{'seconds':>10}{'longest':>10}{'peak MiB':>10}")
    by_start = sorted(found, key=lambda job: job["start"])
    for stage in dict.fromkeys(job["stage"] for job in by_start):
        part = [job for job in found if job["stage"] == stage]
        seconds = [job["seconds"] for job in part]
        memory = max(job["memory"] for job in part)
        print(f"{stage:<16}{len(part):>6}{sum(seconds):>10.1f}{max(seconds):>10.1f}{memory:>10.0f}")


def outside_steps(results: Path, found: list[dict]) -> tuple[float, float]:
    """Return the seconds of the processes that train runs, and those outside of their steps."""
    runs = [json.loads(p.read_text(encoding="utf-8")) for p in results.rglob("runs/*/*/run.json")]
    total = sum(job["seconds"] for job in found if job["stage"] in ("pretrain", "adapt"))
    return total, total - sum(run["training_seconds"] for run in runs)


def dry_run_seconds(config: str) -> float:
    """Return the median wall time of three dry runs of the whole study."""
    command = ["snakemake", "--configfile", config, "--quiet", "all", "-n", "all"]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


def main() -> int:
    """Print the tables; exit with 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results/{study}")
    parser.add_argument("--config", required=True, help="the study's configuration file")
    arguments = parser.parse_args()
    found = jobs(arguments.results / "benchmarks")
    print_stages(found)
    computed = [job for job in found if job["stage"] != "download"]
    total, outside = outside_steps(arguments.results, found)
    print(
        f"\nprocesses of the runs: {total:.0f} s, outside of steps {outside:.0f} s "
        f"({100 * outside / total:.0f} %: imports, Fisher information, validation, checkpoints)"
    )
    # Jobs run side by side, so their seconds do not add up to the time one waits.
    measured = [
        (
            "first job to last, without downloads, s",
            max(job["end"] for job in computed) - min(job["start"] for job in computed),
            LIMIT_WALL_SECONDS,
        ),
        ("largest process tree, MiB", max(job["memory"] for job in computed), LIMIT_MEMORY_MIB),
        ("dry run of `all`, s", dry_run_seconds(arguments.config), LIMIT_DRY_RUN_SECONDS),
    ]
    print(f"\n{'':<44}{'measured':>10}{'limit':>8}")
    exceeded = False
    for name, value, limit in measured:
        exceeded |= value > limit
        print(f"{name:<44}{value:>10.1f}{limit:>8}  {'ok' if value <= limit else 'EXCEEDED'}")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
