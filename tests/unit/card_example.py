"""Rows that the GPU benchmark could have measured: made up, for tests only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import gpu_cases
import two_gpus_tables

from jadapt.config import studies
from jadapt.release import gpu_benchmark, two_gpus

ABOUT = {
    "device": "NVIDIA H100 80GB HBM3", "shape": "qwen2_5_500m", "commit": "a" * 40,
    "versions": "torch=2.11.0+cu130 transformers=4.53.3 peft=0.17.1 nemo_toolkit=2.5.3",
}  # fmt: skip
PARAMETERS = 494_032_768
RANK = 549_888
# By method: parameters that train, tokens a second at the best batch, and MiB a token of a batch.
METHODS = {
    "sft": (PARAMETERS, 98_000, 1.45),
    **{f"lora r{rank}": (RANK * rank, 128_000 - 200 * rank, 1.2) for rank in (4, 8, 16, 32, 64)},
    "dora": (RANK * 16 + 300_000, 74_000, 1.9),
    "houlsby": (5_600_000, 118_000, 1.15),
    "prefix": (196_608, 131_000, 1.1),
    "ewc": (PARAMETERS, 90_000, 1.45),
    "gem": (PARAMETERS, 41_000, 1.9),
}
GAIN = {
    "none": 1.0, "chunked cross-entropy": 1.09, "compiled layers": 1.24, "fused projections": 1.03,
    "CUDA graphs": 0.99, "flash attention": 1.11, "fused optimiser": 1.04, "all": 1.93,
    "all but fused projections": 1.86, "all but CUDA graphs": 1.9,
}  # fmt: skip
PRECISIONS = {"32-true": 0.21, "bf16-true": 1.0, "bf16-mixed": 0.8, "16-mixed": 0.76}
# Tokens of a micro-batch that the plain loop has no room for.
TOO_MANY = 40_000


def row(case: gpu_cases.Case) -> dict:
    """Return what a case could have measured."""
    made = {"case": case.name, **case.columns(), **ABOUT}
    if case.part == "checks":
        made |= {"full": False, "difference": 0.4 * case.tolerance}
        return made | ({"leak": 0.0} if case.kind == "packed = alone" else {"last_loss": 2.41})
    tokens = case.rows * case.length
    if case.stack == "transformers" and tokens > TOO_MANY:
        return made | {"full": True}
    trained, speed, room = METHODS[case.label]
    speed *= tokens / (tokens + 900) * (1 - case.length / 60_000) * (1 + 0.002 * case.repeat)
    speed *= {"gains": GAIN.get(case.change, 1) / GAIN["all"]}.get(case.part, 1.0)
    speed *= PRECISIONS[case.precision]
    bytes_of = {"32-true": 4, "bf16-true": 2}.get(case.precision, 4)
    if case.stack == "transformers":
        speed, room = speed * (0.55 if trained == PARAMETERS else 0.38), room * 3.1
    if case.part == "gains":
        room *= 1 if case.change in ("chunked cross-entropy", "all") else 1.8
    weights = (PARAMETERS * bytes_of + (trained < PARAMETERS) * trained * bytes_of) / 2**20
    parts = {
        "weights_mib": weights, "gradients_mib": trained * bytes_of / 2**20,
        "optimiser_mib": 2 * trained * bytes_of / 2**20, "activations_mib": tokens * room + 150,
    }  # fmt: skip
    used = 100 * speed * (4 * PARAMETERS + 2 * trained + 129_024 * case.length) / 989e12
    return made | parts | {
        "full": False, "trainable_parameters": trained, "tokens_per_second": speed,
        "seconds_a_million_tokens": 1e6 / speed, "utilisation_percent": used,
        "loader_percent": None if case.stack == "transformers" else 0.21,
        "warmup_seconds": 21.5, "peak_mib": sum(parts.values()), "held_mib": 0.0,
        "reserved_mib": 1.07 * sum(parts.values()),
    }  # fmt: skip


def rows(parts: Iterable[str] = gpu_cases.PARTS, repeats: int = 3) -> list[dict]:
    """Return the rows of whole parts."""
    return [row(case) for case in gpu_cases.cases(ABOUT["shape"], list(parts), repeats)]


# Tokens a second of two GPUs over those of one.
SPEEDUPS = {"one": 1.0, "ddp": 1.95, "fsdp2": 1.85}


def rows_of_two() -> list[dict]:
    """Return the rows of the benchmark of two GPUs."""
    versions = " ".join(pair for pair in ABOUT["versions"].split() if "peft" not in pair)
    return [
        ABOUT | {
            "case": f"{layout}/{method}", "layout": layout, "method": method, "rows": size,
            "devices": two_gpus_tables.DEVICES[layout], "length": 1024, "precision": "bf16-mixed",
            "windows": [300_000 * SPEEDUPS[layout] * part for part in (0.8, 1.0, 1.01)],
            "losses": [11.0, 10.0 + 1e-3 * (layout == "ddp")], "validation_losses": [10.5],
            "trainable_parameters": 134_515_008 if method == "sft" else 4_884_480,
            "peak_mib": 600.0 * size, "shape": "smollm2_135m", "weights": "random",
            "versions": versions,
            "device": "2 x " * (layout != "one") + ABOUT["device"],
        }
        for size in (64, 128) for layout in two_gpus_tables.DEVICES
        for method in two_gpus_tables.METHODS
    ]  # fmt: skip


def write_bench(folder: Path, made: list[dict] | None = None) -> Path:
    """Write what the benchmark leaves behind."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(each) + "\n" for each in (rows() if made is None else made))
    (folder / gpu_benchmark.ROWS).write_text(text, encoding="utf-8")
    return folder


def release(folder: Path, made: list[dict] | None = None) -> Path:
    """Release rows into a folder; return its record."""
    made = rows() if made is None else made
    cases = gpu_cases.cases(ABOUT["shape"], gpu_cases.PARTS, 3)
    of_two = two_gpus.as_part(two_gpus_tables.compared(rows_of_two()))
    gpu_benchmark.publish(made, gpu_benchmark.not_measured(made, cases), folder, of_two)
    return folder / "SHA256SUMS"


def released(
    folder: Path,
    made: list[dict] | None = None,
    name: str = "efficiency",
    of_two: list[dict] | None = None,
) -> subprocess.CompletedProcess:
    """Release rows, of two GPUs only if given, into ``folder / name`` by the script."""
    given = ["--bench", write_bench(folder / "bench", made), "--output", folder / name]
    if of_two is not None:
        given += ["--two-gpus", write_bench(folder / "two", of_two)]
    command = [sys.executable, "scripts/release_efficiency.py", *map(str, given)]
    return subprocess.run(command, cwd=studies.ROOT, capture_output=True, text=True, check=False)


def check_refused(folder: Path, done: subprocess.CompletedProcess, message: str) -> None:
    """Check that the script said why in one line, and wrote nothing."""
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not (folder / "efficiency").exists()


def edited(made: list[dict], **changes: str) -> list[dict]:
    """Return rows of which one differs."""
    made[3] = {**made[3], **changes}
    return made
