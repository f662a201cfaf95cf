"""The benchmark of two GPUs runs on two processes of a CPU, goes on, and adds up."""

import csv
import json
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import bench_two_gpus  # noqa: E402
import two_gpus_tables as tables  # noqa: E402

from jadapt.core import code_version  # noqa: E402


def row(layout, windows, losses, **changes):
    return {
        "case": f"{layout}/sft", "layout": layout, "method": "sft", "devices": 1, "rows": 2,
        "length": 32, "precision": "bf16-mixed", "windows": windows, "losses": losses,
        "validation_losses": losses[:2], "peak_mib": 1.0, "trainable_parameters": 1,
        "loading_seconds": 1.0, "warmup_seconds": 1.0, "device": "card", "shape": "tiny",
        "weights": "random", "versions": "v", "commit": "c",
    } | changes  # fmt: skip


def test_two_layouts_are_measured_through_real_runs(tmp_path):
    command = [
        sys.executable, BENCHMARKS / "bench_two_gpus.py", "--output", tmp_path,
        "--accelerator", "cpu", "--shape", "tiny", "--layouts", "one", "fsdp2", "--methods", "lora",
        "--warmup", "1", "--steps", "3", "--loss-steps", "3", "--timeout", "200",
        "--seconds", "300",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "two_gpus.csv", encoding="utf-8", newline="") as stream:
        one, two = csv.DictReader(stream)
    assert (one["layout"], two["layout"], two["devices"]) == ("one", "fsdp2", "2")
    assert one["trainable_parameters"] == two["trainable_parameters"]
    assert float(two["loss_difference"]) < 1e-3
    assert float(one["first_loss"]) == pytest.approx(5.7, abs=0.3)
    assert float(two["tokens_per_second"]) > 0
    assert "lora  fsdp2  2 x 2 x 32" in done.stdout
    rows = tables.read(tmp_path / tables.ROWS)
    assert [len(row["losses"]) for row in rows] == [3, 3]
    assert [len(row["windows"]) for row in rows] == [3, 3]
    # Nothing is left to be measured: no process is started.
    begin = time.monotonic()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.stdout == done.stdout
    assert time.monotonic() - begin < 20


def test_a_layout_is_compared_with_one_device_of_the_same_state():
    rows = [
        row("one", [9.0, 10.0, 30.0], [2.0, 1.0]),
        row("one", [1.0], [2.0, 1.0], commit="earlier"),
        row("ddp", [15.0, 19.0, 21.0], [2.0, 1.01], devices=2),
        row("fsdp2", [15.0], [2.0, 1.0], commit="later"),
    ]
    one, _, two, alone = tables.compared(rows)
    assert (one["speedup"], one["loss_difference"]) == (1.0, 0.0)
    assert two["speedup"] == pytest.approx(1.9)
    assert two["loss_difference"] == pytest.approx(0.01)
    assert (two["slowest"], two["fastest"]) == (15.0, 21.0)
    assert alone["speedup"] is None
    assert "1.90 x one, loss within 1.0e-02" in tables.line(two)


def measure(folder, **changes):
    options = {
        "output": folder, "model": None, "accelerator": "cpu", "shape": "tiny", "layouts": ["one"],
        "methods": ["sft"], "rows": 2, "length": 32, "warmup": 1, "steps": 1, "loss_steps": 1,
        "timeout": 2, "seconds": 60,
    }  # fmt: skip
    work = folder / "work"
    work.mkdir(exist_ok=True)
    bench_two_gpus.measure(Namespace(**options | changes), work)


def test_another_micro_batch_is_another_case(tmp_path, monkeypatch):
    known = row("one", [1.0], [2.0, 1.0], commit=code_version.commit() or "unknown")
    (tmp_path / tables.ROWS).write_text(json.dumps(known) + "\n")
    started = []
    monkeypatch.setattr(bench_two_gpus, "_start", lambda _, __, layout, ___: started.append(layout))
    monkeypatch.setattr(bench_two_gpus, "_finish", lambda *_: None)
    monkeypatch.setattr(bench_two_gpus, "_kill", lambda _: None)
    measure(tmp_path)
    assert started == []
    measure(tmp_path, rows=4)
    assert started == ["one"]


def test_a_hanging_layout_costs_the_others_nothing(tmp_path, monkeypatch, capsys):
    script = tmp_path / "measuring.py"
    script.write_text(
        "import json, pathlib, sys, time\n"
        "a = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "while not pathlib.Path(a['--gate']).exists(): time.sleep(0.01)\n"
        "if a['--layout'] == 'ddp': time.sleep(60)\n"
        "if a['--layout'] == 'one': sys.exit('error: broken')\n"
        "open(a['--output'] + '/rows.jsonl', 'a').write(json.dumps(a) + '\\n')\n"
    )
    monkeypatch.setattr(bench_two_gpus, "MEASURING", script)
    begin = time.monotonic()
    measure(tmp_path, layouts=[*tables.DEVICES])
    assert time.monotonic() - begin < 20
    errors = capsys.readouterr().err
    assert "one: ended with 1: error: broken" in errors
    assert "ddp: stopped after 2 s" in errors
    (measured,) = map(json.loads, (tmp_path / tables.ROWS).read_text().splitlines())
    assert measured["--layout"] == "fsdp2"
