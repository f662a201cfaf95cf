"""Measure one GPU against two, by DDP and by FSDP2, through this project's NeMo trainer.

    python benchmarks/bench_two_gpus.py --output bench-two               SmolLM2-135M's shape
    python benchmarks/bench_two_gpus.py --output bench-two --model DIR   its weights, from a folder
    python benchmarks/bench_two_gpus.py --output /tmp/b --accelerator cpu --shape tiny

For full fine-tuning and for LoRA: the losses of a few steps at the same global batch, which have to
be those of one GPU, and the tokens a second with the same rows a GPU. A layout is a process, or a
group of two, of its own; all are started at once, since loading takes longer than measuring, and
measure one after the other. One that hangs is stopped at its time limit. Every case is a line of
`rows.jsonl` as soon as it is measured; a call measures what is missing there.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import two_gpus_tables as tables

from jadapt.core import code_version
from jadapt.core.errors import UserError, run
from jadapt.training.distributed import gpus

MEASURING = Path(__file__).with_name("two_gpus_measuring.py")


def main() -> None:
    """Measure what is not measured yet, then write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="gets rows.jsonl and the table")
    parser.add_argument("--model", type=Path, help="folder of a Hugging Face checkpoint")
    parser.add_argument("--accelerator", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--shape", choices=["smollm2_135m", "tiny"], default="smollm2_135m")
    parser.add_argument("--layouts", nargs="+", choices=tables.DEVICES, default=[*tables.DEVICES])
    parser.add_argument("--methods", nargs="+", choices=tables.METHODS, default=[*tables.METHODS])
    parser.add_argument("--rows", type=int, help="of a micro-batch (64, tiny: 2)")
    parser.add_argument("--length", type=int, help="tokens a row (1024, tiny: 32)")
    parser.add_argument("--warmup", type=int, default=6, help="steps before the clock starts")
    parser.add_argument("--steps", type=int, default=24, help="steps under the clock")
    parser.add_argument("--loss-steps", type=int, default=10, help="steps at equal global batch")
    parser.add_argument("--timeout", type=float, default=120, help="seconds of a layout")
    parser.add_argument("--seconds", type=float, default=210, help="of all of it")
    arguments = parser.parse_args()
    small = arguments.shape == "tiny"
    arguments.rows = arguments.rows or (2 if small else 64)
    arguments.length = arguments.length or (32 if small else 1024)
    if arguments.model and not (arguments.model / "model.safetensors").is_file():
        raise UserError(f"--model {arguments.model}: no model.safetensors there")
    arguments.output.mkdir(parents=True, exist_ok=True)
    devices = max(tables.DEVICES[layout] for layout in arguments.layouts)
    with (
        gpus.assigned({"accelerator": arguments.accelerator, "devices": devices}),
        tempfile.TemporaryDirectory() as work,
    ):
        measure(arguments, Path(work))
    tables.write(arguments.output)


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """Start the layouts that `rows.jsonl` lacks, and let them measure in turn."""
    begin = time.monotonic()
    done = tables.read(arguments.output / tables.ROWS)
    groups = {}
    for layout in arguments.layouts:
        missing = [m for m in arguments.methods if not _known(arguments, layout, m, done)]
        if missing:
            groups[layout] = _start(arguments, work, layout, missing)
    try:
        for layout, process in groups.items():
            left = min(arguments.timeout, begin + arguments.seconds - time.monotonic())
            if left <= 0:
                print("time is up; call again to go on", file=sys.stderr)
                return
            gate(work, layout).touch()
            _finish(layout, process, left, arguments.output)
    finally:
        for process in groups.values():
            _kill(process)


def gate(work: Path, layout: str) -> Path:
    """Return the file whose appearance lets a layout begin."""
    return work / f"{layout}.go"


def _known(arguments: argparse.Namespace, layout: str, method: str, done: list[dict]) -> bool:
    wanted = {
        "layout": layout, "method": method, "shape": arguments.shape,
        "rows": arguments.rows, "length": arguments.length,
        "weights": str(arguments.model or "random"), "commit": code_version.commit() or "unknown",
    }  # fmt: skip
    return any(all(row[k] == v for k, v in wanted.items()) for row in done)


def _start(
    arguments: argparse.Namespace, work: Path, layout: str, methods: list[str]
) -> subprocess.Popen:
    command = [
        sys.executable, MEASURING, "--layout", layout, "--methods", *methods,
        "--gate", gate(work, layout), "--work", work, "--output", arguments.output,
        "--shape", arguments.shape, "--accelerator", arguments.accelerator,
        "--rows", arguments.rows, "--length", arguments.length,
        "--warmup", arguments.warmup, "--steps", arguments.steps,
        "--loss-steps", arguments.loss_steps,
        *(["--model", arguments.model.resolve()] if arguments.model else []),
    ]  # fmt: skip
    with open(arguments.output / f"{layout}.log", "ab") as log:
        # A session of its own, so that its processes can be stopped together.
        return subprocess.Popen(
            list(map(str, command)), stdout=log, stderr=log, start_new_session=True
        )


def _finish(layout: str, process: subprocess.Popen, seconds: float, output: Path) -> None:
    """Wait for a layout; say how it ended if that was not well."""
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        print(f"{layout}: stopped after {seconds:.0f} s", file=sys.stderr)
        return
    if code:
        lines = (output / f"{layout}.log").read_text(errors="replace").splitlines()
        print(f"{layout}: ended with {code}: {lines[-1] if lines else ''}", file=sys.stderr)


def _kill(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    run(main)
