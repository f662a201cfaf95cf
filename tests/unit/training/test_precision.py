"""Precisions in real NeMo runs on a CPU, and what hardware cannot do, refused in one line."""

import json
import math

import pytest
import torch

import tiny_study
from jadapt.core.errors import UserError
from jadapt.training import memory, precision
from jadapt.training.module import AdaptationModule


def train(study, work, module, **settings):
    settings = {"sequence": ["first"], "log_interval": 1, **settings}
    run = tiny_study.run(study, work, module, **settings)
    report = run.train()
    run.publish()
    lines = [json.loads(line) for line in (work / "output/train.jsonl").read_text().splitlines()]
    return report, [line for line in lines if "training_loss" in line]


@pytest.mark.parametrize("method", ["sft", "lora"])
@pytest.mark.parametrize("kind", ["bf16-true", "bf16-mixed"])
def test_sixteen_bits_learn_what_float32_learns(kind, method, study, module, tmp_path):
    entry = tiny_study.RUNS[method]
    _, exact = train(study, tmp_path / "32", module, **entry)
    _, rounded = train(study, tmp_path / "16", module, precision=kind, **entry)
    expected = torch.bfloat16 if kind == "bf16-true" else torch.float32
    assert {p.dtype for p in module.model.parameters()} == {expected}
    # The frequencies of the positions stay as published, whatever the weights are in.
    assert module.model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert rounded[0]["training_loss"] == pytest.approx(exact[0]["training_loss"], rel=2e-2)
    assert rounded[-1]["training_loss"] == pytest.approx(exact[-1]["training_loss"], rel=5e-2)
    assert rounded[-1]["training_loss"] < rounded[0]["training_loss"]
    assert [x["training_loss"] for x in rounded] != [x["training_loss"] for x in exact]
    assert "loss_scale" not in rounded[-1]


def test_sixteen_mixed_logs_its_scale_and_the_steps_it_skips(study, module, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "check", lambda settings: None)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=1000)
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device: scaler)
    _, log = train(study, tmp_path, module, precision="16-mixed", steps=40, warmup_steps=0)
    skipped = [line["skipped_steps"] for line in log]
    assert 0 < skipped[-1] < 40
    assert skipped == sorted(skipped)
    # Every skipped step halves the scale.
    assert [line["loss_scale"] for line in log] == [2.0 ** (40 - count) for count in skipped]
    assert all(math.isfinite(line["training_loss"]) for line in log)
    assert log[-1]["training_loss"] < log[0]["training_loss"]


def test_what_the_hardware_cannot_do_is_named_in_one_line(monkeypatch):
    precision.check({"accelerator": "cpu", "devices": 1, "precision": "bf16-true"})
    with pytest.raises(UserError, match=r"training\.precision: 16-mixed needs a GPU"):
        precision.check({"accelerator": "cpu", "devices": 1, "precision": "16-mixed"})
    gpus = {"accelerator": "gpu", "devices": 2, "precision": "bf16-mixed"}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: (9 - 2 * number, 5))
    with pytest.raises(UserError, match=r"bf16-mixed needs .* 8\.0 or later, Tesla T4 has 7\.5"):
        precision.check(gpus)
    precision.check(gpus | {"devices": 1})
    precision.check(gpus | {"precision": "16-mixed"})


def test_out_of_memory_names_the_micro_batch_and_what_would_fit(
    study, module, tmp_path, monkeypatch
):
    calls = []

    def full(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, *arguments, **options)

    forward = AdaptationModule.forward
    monkeypatch.setattr(AdaptationModule, "forward", full)
    sizes = memory.MEBIBYTE
    monkeypatch.setattr(memory, "device_memory", lambda: (100 * sizes, 95 * sizes))
    with pytest.raises(UserError) as caught:
        train(study, tmp_path, module, global_batch_size=8, micro_batch_size=8)
    assert "training.micro_batch_size: out of memory at step 3 with 8 rows of 16 tokens" in str(
        caught.value
    )
    assert "at most about 4 would fit: set training.micro_batch_size: 4" in str(caught.value)


@pytest.mark.parametrize(
    ("capacity", "peak", "fixed", "rows", "expected"),
    [(100, 92, 12, 8, 7), (100, 172, 12, 8, 4), (100, 90, 95, 8, 0), (100, 90, 2, 1, 0)],
)
def test_the_rows_that_fit_follow_from_what_a_row_takes(capacity, peak, fixed, rows, expected):
    assert memory.rows_that_fit(capacity, peak, fixed, rows) == expected


def test_memory_is_divided_by_what_it_holds():
    model = torch.nn.Linear(10, 10, bias=False)
    optimiser = torch.optim.AdamW(model.parameters())
    assert memory.fixed(model) == memory.Fixed(400, 400, 800)
    model(torch.ones(1, 10)).sum().backward()
    optimiser.step()
    # Two moments of 400 bytes and the count of steps.
    assert memory.fixed(model, optimiser) == memory.Fixed(400, 400, 804)
    model.weight.requires_grad_(False)
    assert memory.fixed(model).gradients == 0
