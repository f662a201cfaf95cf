"""The benchmark of training runs at a size for a CPU, goes on where it stopped, and adds up."""

import csv
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import ClassVar

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import bench_gpu  # noqa: E402
import gpu_cases  # noqa: E402
import gpu_measuring  # noqa: E402
import gpu_tables  # noqa: E402


def test_both_stacks_are_measured_through_a_real_run(tmp_path):
    done = subprocess.run(
        [
            sys.executable, BENCHMARKS / "bench_gpu.py", "--output", tmp_path, "--shape", "tiny",
            "--parts", "speed", "--repeats", "1", "--warmup", "1", "--steps", "2",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "speed.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == ["sft", "sft", "lora r16", "lora r16"]
    assert [row["stack"] for row in rows] == ["transformers", "nemo"] * 2
    model = gpu_measuring.scratch.build(
        {k: v for k, v in gpu_cases.SHAPES["tiny"].items() if k != "vocabulary"}, 300,
        {"pad_token_id": 0},
    )  # fmt: skip
    count = model.num_parameters()
    for row in rows:
        assert row["full"] == "False"
        assert float(row["tokens_per_second"]) > 0
        trainable = int(row["trainable_parameters"])
        size = 2 * trainable / 2**20
        if row["label"] == "sft":
            assert trainable == count
            # Weights, gradients and two moments of bfloat16, and 4 bytes a tensor for its step.
            assert float(row["gradients_mib"]) == pytest.approx(size)
            assert float(row["optimiser_mib"]) == pytest.approx(2 * size, rel=0.01)
        parts = ("weights", "gradients", "optimiser", "activations")
        total = sum(float(row[f"{part}_mib"]) for part in parts)
        assert total == pytest.approx(float(row["peak_mib"]))
        assert len(row["commit"]) >= 40 and "torch=" in row["versions"]
    # Both stacks train the same parameters.
    assert len({row["trainable_parameters"] for row in rows[2:]}) == 1
    assert "lora r16, same batch: " in done.stdout


class FakeBench:
    """Stands for the measuring: a row of 32 tokens takes one unit of a card that holds 128."""

    measured: ClassVar[list[str]] = []

    def __init__(self, *arguments):
        pass

    def about(self, shape):
        return {"device": "card", "commit": "c", "shape": shape, "versions": "v"}

    def measure(self, case):
        FakeBench.measured.append(case.name)
        if case.rows * case.length > 64:
            return {"full": True}
        numbers = dict.fromkeys(gpu_tables.COLUMNS[8:19], 1.0)
        return numbers | {"full": False, "tokens_per_second": 10.0 + 10 * (case.stack == "nemo")}


def test_a_stopped_benchmark_goes_on_and_leaves_out_what_cannot_fit(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_measuring, "Bench", FakeBench)
    options = Namespace(
        output=tmp_path, shape="tiny", parts=gpu_cases.PARTS, warmup=1, steps=1, repeats=1,
        seconds=None, only=None, commit=None,
    )  # fmt: skip
    FakeBench.measured.clear()
    bench_gpu.measure(options, "cpu", tmp_path)
    names = FakeBench.measured.copy()
    assert len(names) == len(set(names))
    # A line that the end of a process cut off is measured again, and nothing else.
    path = tmp_path / gpu_tables.ROWS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:20])
    FakeBench.measured.clear()
    bench_gpu.measure(options, "cpu", tmp_path)
    assert FakeBench.measured == names[-1:]
    # Two rows of 64 tokens are too many; four of 32 were, and are the same.
    every = [case.name for case in gpu_cases.cases("tiny", gpu_cases.PARTS, 1)]
    assert set(names) < set(every)
    assert sum(row["full"] for row in gpu_tables.read(path)) > 0
    gpu_tables.write(tmp_path)
    assert "sft, same batch: 2.00 x the tokens/s, 1.00 x the peak" in capsys.readouterr().out
    assert {p.stem for p in tmp_path.glob("*.csv")} == set(gpu_cases.PARTS)


def test_a_case_that_fails_costs_no_other_and_is_named(tmp_path, monkeypatch):
    class Failing(FakeBench):
        def about(self, shape):
            return super().about(shape) | {"commit": "unknown"}

        def measure(self, case):
            if case.label == "gem":
                raise RuntimeError("no such kernel")
            return super().measure(case)

    monkeypatch.setattr(gpu_measuring, "Bench", Failing)
    options = Namespace(
        output=tmp_path, shape="tiny", parts=["methods"], warmup=1, steps=1, repeats=1,
        seconds=None, only=["/gem/", "/ewc/"], commit="abc",
    )  # fmt: skip
    failed = bench_gpu.measure(options, "cpu", tmp_path)
    assert len(failed) == 2 and all("no such kernel" in text for text in failed)
    rows = gpu_tables.read(tmp_path / gpu_tables.ROWS)
    assert {(row["label"], row["commit"]) for row in rows} == {("ewc", "abc")}


def test_every_case_has_a_name_of_its_own_and_the_asked_for_methods_are_there():
    names = [case.name for case in gpu_cases.cases("qwen2_5_500m", gpu_cases.PARTS, 3)]
    assert len(names) == len(set(names))
    assert {f"lora r{rank}" for rank in (4, 8, 16, 32, 64)} <= set(gpu_cases.MEASURED)
    assert {"sft", "dora", "houlsby", "prefix", "ewc", "gem"} <= set(gpu_cases.MEASURED)
    sizes = {
        (case.rows, case.length)
        for case in gpu_cases.cases("qwen2_5_500m", ["methods"], 1)
    }  # fmt: skip
    assert {(2, 2048), (4, 2048)} <= sizes
