"""Two processes train what one does, by DDP and by FSDP2, also when stopped and started again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tiny_study
from jadapt.core.bucketing import divide
from jadapt.core.errors import UserError
from jadapt.data.loading import RowsFrom
from jadapt.training.distributed import sharding
from run_files import lines, weights, without_clocks

HERE = Path(tiny_study.__file__).parent
# Relative, in float32. With two micro-batches a step DDP adds what one process adds; FSDP2 sums the
# squares of the gradient's norm in another order.
TOLERANCE = {"ddp": 0, "fsdp2": 1e-5}
WEIGHTS = {"ddp": 0, "fsdp2": 1e-4}
COMMON = {"micro_batch_size": 2, "checkpoint_interval": 4, "gradient_clip": 0.5}
COMPARED = {
    "ddp": ["sft", "lora", "lora_replay", "den", "ewc", "gem"],
    "fsdp2": ["sft", "lora", "lora_replay", "houlsby"],
}


def settings_of(name):
    """A run without dropout, which every process draws for itself."""
    run = {**COMMON, **tiny_study.RUNS[name]}
    return run | {"dropout": 0.0} if "dropout" in run else run


def start(study, work, cases):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    }
    path = work / "cases.json"
    path.write_text(json.dumps(cases))
    return subprocess.run(
        [sys.executable, HERE / "on_devices.py", study, work, path],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module", params=COMPARED)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def two(kind, study, tmp_path_factory):
    """The runs of a kind, on two devices, in one pair of processes."""
    work = tmp_path_factory.mktemp(kind)
    spread = {"devices": 2, "parallelism": kind}
    cases = [{"name": name, "settings": settings_of(name) | spread} for name in COMPARED[kind]]
    # Stopped in the seventh step of the second task; with dropout.
    dropout = COMMON | tiny_study.RUNS["lora"] | spread | {"micro_batch_size": 1}
    cases += [
        {"name": "large_sft", "settings": settings_of("sft") | spread, "large": True},
        {"name": "large_lora", "settings": settings_of("lora") | spread, "large": True},
        {"name": "accumulated", "settings": COMMON | spread | {"micro_batch_size": 1}},
    ]
    for name, large in (("", False), ("large_", True)):
        cases += [
            {"name": f"{name}whole", "settings": dropout, "large": large},
            {
                "name": f"{name}killed", "settings": dropout, "large": large,
                "stop": (12 + 6) * 2 + 1,
            },
            {"name": f"{name}killed", "settings": dropout, "large": large},
        ]  # fmt: skip
    done = start(study, work, cases)
    assert done.returncode == 0, done.stderr[-3000:]
    return work


@pytest.fixture(scope="module")
def one(study, module, tmp_path_factory):
    """The same runs in this process; each once."""
    work, known = tmp_path_factory.mktemp("one"), set()

    def trained(name):
        if name not in known:
            run = tiny_study.run(study, work / name, module, **settings_of(name))
            run.train()
            run.publish()
            known.add(name)
        return work / name

    return trained


def reports(folder):
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


def test_losses_and_weights_are_those_of_one_device(kind, two, one):
    tolerance = TOLERANCE[kind]
    for name in COMPARED[kind]:
        (report,) = reports(two / name)
        assert report["steps"] == 24
        own, other = lines(one(name)), lines(two / name)
        assert len(own) == len(other)
        for a, b in zip(own, other, strict=True):
            clocks = ("tokens_per_second", "peak_memory_mib")
            assert a.keys() == b.keys()
            for key in a.keys() - set(clocks):
                wanted = a[key]
                if isinstance(wanted, float):
                    wanted = pytest.approx(wanted, rel=tolerance or 1e-15, abs=0)
                assert b[key] == wanted, (name, key, a["step"])
        for task in tiny_study.SEQUENCE:
            folders = [work / "output/models" / task for work in (one(name), two / name)]
            files = [sorted(weights(folder)) for folder in folders]
            assert files[0] == files[1]
            for path in files[0]:
                if path.endswith(".safetensors"):
                    close(*(load_file(folder / path) for folder in folders), WEIGHTS[kind])
                elif path != "SHA256SUMS":
                    assert (folders[0] / path).read_bytes() == (folders[1] / path).read_bytes()


def test_accumulated_micro_batches_are_those_of_one_device(two, one):
    own, other = lines(one("sft")), lines(two / "accumulated")
    for a, b in zip(own, other, strict=True):
        for key in ("training_loss", "validation_loss", "gradient_norm"):
            if key in a:
                assert b[key] == pytest.approx(a[key], rel=2e-4), (key, a["step"])


def test_layers_that_are_divided_between_the_passes_give_the_same(two):
    assert without_clocks(lines(two / "large_sft")) == without_clocks(lines(two / "sft"))


def test_adapters_stay_whole_if_one_message_holds_them(monkeypatch):
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 2, bias=False))
    assert sharding._adapters(model) == set()
    model[0].requires_grad_(False)
    assert sharding._adapters(model) == {model[1].weight}
    monkeypatch.setattr(sharding, "MESSAGE", 8 * 2 * 4 - 1)
    assert sharding._adapters(model) == set()


def test_adapters_that_are_divided_give_the_same(kind, two):
    own, other = lines(two / "lora"), lines(two / "large_lora")
    for a, b in zip(own, other, strict=True):
        for key in ("training_loss", "validation_loss", "gradient_norm"):
            if key in a:
                assert b[key] == pytest.approx(a[key], rel=TOLERANCE[kind] or 1e-15, abs=0)


def close(one, other, tolerance):
    """Compare models as vectors: a single weight whose gradient is nearly zero may move by the
    learning rate whatever its size."""
    assert one.keys() == other.keys()
    assert all(other[k].dtype == one[k].dtype and other[k].shape == one[k].shape for k in one)
    difference = sum(float((other[k] - one[k]).double().square().sum()) for k in one)
    size = sum(float(one[k].double().square().sum()) for k in one)
    assert difference**0.5 <= tolerance * size**0.5


@pytest.mark.parametrize("size", ["", "large_"])
def test_a_killed_run_ends_the_same(two, size):
    killed, whole = two / f"{size}killed", two / f"{size}whole"
    assert [sorted(report)[0] for report in reports(killed)] == ["ended", "final_training_loss"]
    assert without_clocks(lines(killed)) == without_clocks(lines(whole))
    one, other = (weights(folder / "output/models") for folder in (whole, killed))
    assert one == other


def test_checkpoints_and_models_are_written_by_one_process(two):
    """Nothing half-written and nothing beside it; a divided model leaves no class name behind."""
    names = {path.name for path in two.rglob("*")}
    assert not [name for name in names if name.endswith(".part")]
    config = json.loads((two / "sft/output/models/second/config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]


def test_a_message_holds_what_fits_into_it():
    sizes = [3, 4, 9, 1, 1, 8, 2]
    assert divide(sizes, sizes, 8) == [[3, 4], [9], [1, 1], [8], [2]]
    assert divide([], [], 8) == []


def test_every_row_is_read_once_and_a_step_has_those_of_one_process():
    whole = list(RowsFrom(8, 32, block=2))
    shares = [list(RowsFrom(8, 32, block=2, rank=rank, ranks=2)) for rank in (0, 1)]
    assert whole == list(range(8, 32))
    for first in range(0, 12, 4):
        rows = [row for share in shares for row in share[first : first + 4]]
        assert sorted(rows) == whole[2 * first : 2 * first + 8]
    assert shares[0][:4] == [8, 9, 12, 13]
    assert [len(RowsFrom(8, 32, block=2, rank=rank, ranks=2)) for rank in (0, 1)] == [16, 16]
    with pytest.raises(ValueError, match="rows 2 to 32 in blocks of 2 for 2"):
        RowsFrom(2, 32, block=2, rank=0, ranks=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**tiny_study.RUNS["den"]}, "method: den needs whole parameters"),
        ({**tiny_study.RUNS["ewc"]}, r"continual.ewc: needs whole parameters"),
        ({**tiny_study.RUNS["gem"]}, r"continual.gem: needs whole parameters"),
        ({"precision": "16-mixed"}, "precision: 16-mixed does not go with parallelism fsdp2"),
        ({"fast": {"fuse_projections": True}}, "fast.fuse_projections: keeps the weights"),
        ({"fast": {"cuda_graphs": True}}, "fast.cuda_graphs: fsdp2 gathers weights within a step"),
        ({"devices": 1}, "parallelism: fsdp2 .* devices is 1"),
    ],
)
def test_what_fsdp2_cannot_do_is_refused(changes, words):
    from jadapt.config import parallelism

    with pytest.raises(UserError, match=words):
        parallelism.check({**tiny_study.SETTINGS, "devices": 2, "parallelism": "fsdp2", **changes})
