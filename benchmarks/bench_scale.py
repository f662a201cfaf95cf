"""Plan a generated study of thousands of runs; measure what Snakemake itself costs a job.

Nothing is trained: the study is the default one with its runs repeated at other learning rates, and
only its dry run is measured. The price of a job is that of an empty one with the log and the
benchmark file that every rule here has.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 10
LIMIT_MEBIBYTES = 1000
MEBIBYTE = 1 << 20
SAMPLING_SECONDS = 0.05
EMPTY_JOBS = 200
EMPTY_STUDY = """\
rule all:
    default_target: True
    input: expand("done/{{job}}", job=range({jobs}))

rule empty:
    output: "done/{{job}}"
    log: "logs/{{job}}.log"
    benchmark: "benchmarks/{{job}}.tsv"
    shell: "touch {{output}} > {{log}} 2>&1"
"""


def study(runs: int, seeds_per_job: int) -> dict:
    """Return the default study with ``runs`` runs (methods times seeds), one rate each."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    entries = list(settings["methods"].items())
    methods = {}
    for index in range(runs // len(settings["seeds"])):
        name, entry = entries[index % len(entries)]
        methods[f"{name}_{index}"] = {**entry, "learning_rate": 1e-5 * (index + 1)}
    return {
        **settings,
        "study": "scale",
        "seeds_per_job": seeds_per_job,
        "methods": methods,
        "ablations": {},
        # What is measured is the workflow, whatever a stage is evaluated on.
        "evaluation": {**settings["evaluation"], "tasks": []},
    }


def measure(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command; return its seconds, its peak resident memory in MiB, and what it printed."""
    begin, peak = time.perf_counter(), 0
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        psutil.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        while process.poll() is None:
            try:
                peak = max(peak, process.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(SAMPLING_SECONDS)
        seconds = time.perf_counter() - begin
        output.seek(0)
        printed = output.read()
    if process.wait():
        sys.exit(printed)
    return seconds, peak / MEBIBYTE, printed


def plan(runs: int, seeds_per_job: int, folder: Path) -> tuple[int, float, float]:
    """Return jobs, seconds and MiB of the dry run of a generated study."""
    path = folder / f"{seeds_per_job}.yaml"
    path.write_text(yaml.safe_dump(study(runs, seeds_per_job)), encoding="utf-8")
    command = ["snakemake", "--configfile", str(path), "-n", "--quiet", "all", "--", "all"]
    seconds, mebibytes, printed = measure(command, ROOT)
    jobs = int(re.search(r"^total +(\d+)$", printed, re.MULTILINE).group(1))
    return jobs, seconds, mebibytes


def seconds_per_job(jobs: int, folder: Path) -> float:
    """Return the seconds that Snakemake takes for an empty local job, start and end left out."""
    times = {}
    for count in (1, jobs + 1):
        place = folder / f"empty{count}"
        place.mkdir()
        (place / "Snakefile").write_text(EMPTY_STUDY.format(jobs=count), encoding="utf-8")
        times[count], *_ = measure(["snakemake", "--cores", "1", "--quiet", "all"], place)
    return (times[jobs + 1] - times[1]) / jobs


def main() -> int:
    """Print the table; exit with 1 when the default way of running exceeds a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3000, help="methods times seeds")
    arguments = parser.parse_args()
    print(f"{'dry run of a generated study':<44}{'jobs':>8}{'seconds':>10}{'MiB':>8}")
    exceeded = False
    with tempfile.TemporaryDirectory(prefix="bench_scale_") as name:
        for seeds, limited in ((3, True), (1, False)):
            jobs, seconds, mebibytes = plan(arguments.runs, seeds, Path(name))
            line = f"{arguments.runs} runs, {seeds} seed{'s' if seeds > 1 else ''} a job"
            above = seconds > LIMIT_SECONDS or mebibytes > LIMIT_MEBIBYTES
            exceeded |= limited and above
            verdict = ("EXCEEDED" if above else "ok") if limited else ""
            print(f"{line:<44}{jobs:>8}{seconds:>10.1f}{mebibytes:>8.0f}  {verdict}")
        print(f"{'limit':<44}{'':>8}{LIMIT_SECONDS:>10}{LIMIT_MEBIBYTES:>8}")
        price = seconds_per_job(EMPTY_JOBS, Path(name))
        print(f"\nSnakemake's own time for a local job: {1000 * price:.0f} ms")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
