"""Measure training on one card: this project's step through NeMo beside a plain transformers loop.

    python benchmarks/bench_gpu.py --output bench-gpu            the Qwen2.5-0.5B shape, on a GPU
    python benchmarks/bench_gpu.py --output /tmp/b --shape tiny  the same cases at a size for a CPU

Weights are random: speed and memory do not depend on their values. Every case is one line of
`rows.jsonl` as soon as it is measured, so a run that is stopped goes on where it was; the tables
are made anew from all lines at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

import gpu_cases
import gpu_tables

from jadapt.core.errors import UserError, run
from jadapt.training.distributed import gpus


def main() -> None:
    """Measure what is not measured yet, then write and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="gets rows.jsonl and the tables")
    parser.add_argument("--shape", choices=gpu_cases.SHAPES, default="qwen2_5_500m")
    parser.add_argument("--parts", nargs="+", choices=gpu_cases.PARTS, default=gpu_cases.PARTS)
    parser.add_argument("--warmup", type=int, default=5, help="steps before the clock starts")
    parser.add_argument("--steps", type=int, default=15, help="steps under the clock")
    parser.add_argument("--repeats", type=int, default=3, help="of speed and gains, interleaved")
    parser.add_argument("--seconds", type=float, help="start no case after this time")
    parser.add_argument("--only", nargs="+", help="texts; a case's name has to hold one of them")
    parser.add_argument("--commit", help="of the code, where this is no git working copy")
    parser.add_argument("--work", type=Path, help="keeps the weights and tokens between calls")
    arguments = parser.parse_args()
    accelerator = "cpu" if arguments.shape == "tiny" else "gpu"
    with gpus.assigned({"accelerator": accelerator}), tempfile.TemporaryDirectory() as scratch:
        failed = measure(arguments, accelerator, arguments.work or Path(scratch))
    gpu_tables.write(arguments.output)
    if failed:
        raise UserError(
            f"{len(failed)} cases failed and are not in the tables: {'; '.join(failed)}"
        )


def measure(arguments: argparse.Namespace, accelerator: str, work: Path) -> list[str]:
    """Run the cases that `rows.jsonl` lacks; return those that failed, with the reason.

    Larger batches of a case that ran out of memory are left out.
    """
    import gpu_measuring

    bench = gpu_measuring.Bench(
        gpu_cases.SHAPES[arguments.shape], accelerator, work, arguments.warmup, arguments.steps
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / gpu_tables.ROWS
    about = bench.about(arguments.shape)
    about |= {"warmup": arguments.warmup, "steps": arguments.steps}
    if arguments.commit and about["commit"] == "unknown":
        about["commit"] = arguments.commit
    done = gpu_tables.read(path)
    failed: list[str] = []
    begin = time.monotonic()
    for case in gpu_cases.cases(arguments.shape, arguments.parts, arguments.repeats):
        if arguments.only and not any(text in case.name for text in arguments.only):
            continue
        known = [row for row in done if all(row[k] == about[k] for k in ("device", "commit"))]
        if any(row["case"] == case.name for row in known):
            continue
        if any(row["full"] and case.exceeds(row) for row in known):
            continue
        if arguments.seconds and time.monotonic() - begin > arguments.seconds:
            print("time is up; call again to go on", file=sys.stderr)
            break
        try:
            row = {"case": case.name, **case.columns(), **about, **bench.measure(case)}
        except Exception as error:
            # One case that fails must not cost the others, nor the time of the card.
            traceback.print_exc()
            failed.append(f"{case.name} ({error})")
            continue
        done.append(row)
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        print(gpu_tables.line(row), file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    run(main)
