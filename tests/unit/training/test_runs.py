"""Every method and strategy in a real NeMo run: it learns, and it survives being killed."""

import json
import math

import pytest
import torch

import tiny_study
from jadapt.core.errors import UserError
from jadapt.methods import loading
from jadapt.training.async_scalars import Diverged
from jadapt.training.module import AdaptationModule
from run_files import lines, weights, without_clocks


class Killed(Exception):
    """Stands for the end of the process: nothing after it runs."""


def train_until(monkeypatch, run, step):
    """Train a run that is killed within its ``step``-th micro-batch."""
    calls = 0
    original = AdaptationModule.training_step

    def training_step(self, *arguments, **options):
        nonlocal calls
        calls += 1
        if calls == step:
            raise Killed
        return original(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(AdaptationModule, "training_step", training_step)
        with pytest.raises(Killed):
            run.train()


@pytest.mark.parametrize("name", tiny_study.RUNS)
def test_a_run_learns_and_a_killed_one_ends_the_same(name, study, module, tmp_path, monkeypatch):
    settings = tiny_study.RUNS[name]
    whole = tiny_study.run(study, tmp_path / "whole", module, **settings)
    report = whole.train()
    whole.publish()
    log = lines(tmp_path / "whole")
    assert report["steps"] == 24
    assert 0 < report["trainable_parameters"] <= report["parameters"]
    for task in tiny_study.SEQUENCE:
        validated = [
            x["validation_loss"] for x in log if x["task"] == task and "validation_loss" in x
        ]
        assert validated[-1] < validated[0], f"{name} does not learn {task}"

    # Stopped in the second task, one step before a checkpoint is due, and started again by a new
    # process: nothing but the files is left.
    run = tiny_study.run(study, tmp_path / "killed", module, **settings)
    train_until(monkeypatch, run, 12 + 7 + 1)
    assert not (tmp_path / "killed/output").exists()
    assert (tmp_path / "killed/checkpoints/second/step=4.ckpt").exists()
    torch.manual_seed(12345)
    again = tiny_study.run(study, tmp_path / "killed", module, **settings)
    again.train()
    again.publish()
    assert without_clocks(lines(tmp_path / "killed")) == without_clocks(log)
    for task in tiny_study.SEQUENCE:
        one, other = (
            weights(tmp_path / kind / "output/models" / task) for kind in ("whole", "killed")
        )
        assert one.keys() == other.keys()
        assert one == other, f"{name}: {[n for n in one if one[n] != other[n]]} differ"

    # What was saved is what was trained: read back for evaluation it gives the same logits.
    ids = torch.tensor([[1, 9, 14, 19, 24, 29]])
    read, _ = loading.load(tmp_path / "killed/output/models/second", study / "model")
    with torch.no_grad():
        trained = module.model.eval()(input_ids=ids).logits
        torch.testing.assert_close(read(input_ids=ids).logits, trained, atol=1e-5, rtol=1e-4)


def test_tasks_may_be_trained_on_unlike_numbers_of_tokens(study, module, tmp_path):
    rows = tiny_study.SETTINGS["global_batch_size"] * tiny_study.SETTINGS["sequence_length"]
    run = tiny_study.run(study, tmp_path, module, method="sft", tokens={"second": 3 * rows})
    report = run.train()
    assert (report["steps"], report["tokens"]) == (12 + 3, (12 + 3) * rows)
    run.publish()
    steps = [(x["task"], x["step"]) for x in lines(tmp_path) if "training_loss" in x]
    assert steps[-1] == ("second", 3)

    # Each task has a cosine of its own, after a warm-up of the same share: 2 of 12 steps, 0 of 3.
    # The last step is one step before the end of it.
    def rate(share):
        low = tiny_study.SETTINGS["minimum_learning_rate_ratio"]
        cosine = low + (1 - low) * (1 + math.cos(math.pi * share)) / 2
        return tiny_study.SETTINGS["learning_rate"] * cosine

    last = {x["task"]: x["learning_rate"] for x in lines(tmp_path) if "learning_rate" in x}
    assert last == pytest.approx({"first": rate((11 - 2) / (12 - 2)), "second": rate(2 / 3)})


def test_a_run_does_not_depend_on_the_runs_before_it_in_the_process(study, module, tmp_path):
    lora = tiny_study.RUNS["lora"]
    for name, before in (("first", None), ("after", tiny_study.RUNS["den"])):
        if before:
            tiny_study.run(study, tmp_path / "other", module, **before).train()
        run = tiny_study.run(study, tmp_path / name, module, **lora)
        run.train()
        run.publish()
    assert weights(tmp_path / "first/output/models") == weights(tmp_path / "after/output/models")


def test_four_micro_batches_of_two_rows_are_one_of_eight(study, module, tmp_path):
    """Every row is full, so the mean over micro-batches is the mean over the step's tokens."""
    for name, micro in (("one", 8), ("four", 2)):
        run = tiny_study.run(
            study, tmp_path / name, module, global_batch_size=8, micro_batch_size=micro
        )
        run.train()
        run.publish()
    one, four = lines(tmp_path / "one"), lines(tmp_path / "four")
    for a, b in zip(one, four, strict=True):
        for key in ("training_loss", "validation_loss", "gradient_norm"):
            if key in a:
                assert b[key] == pytest.approx(a[key], rel=2e-4), (key, a["step"])


def test_a_run_killed_between_steps_of_several_micro_batches_ends_the_same(
    study, module, tmp_path, monkeypatch
):
    settings = {"micro_batch_size": 2, "sequence": ["first"], **tiny_study.RUNS["lora"]}
    tiny_study.run(study, tmp_path / "whole", module, **settings).train()
    run = tiny_study.run(study, tmp_path / "killed", module, **settings)
    train_until(monkeypatch, run, 6 * 2 + 1)
    tiny_study.run(study, tmp_path / "killed", module, **settings).train()
    whole, killed = (tmp_path / name / "checkpoints/first" for name in ("whole", "killed"))
    assert weights(killed / "model") == weights(whole / "model")
    logs = [
        [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
        for folder in (whole, killed)
    ]
    assert without_clocks(logs[0]) == without_clocks(logs[1])


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_order_is_accumulate_project_clip_step(
    study, module, tmp_path, monkeypatch, accumulation
):
    """A projection that doubles the gradient is seen by the clipping, and by nothing before."""
    events = []
    run = tiny_study.run(
        study, tmp_path, module, sequence=["first"], steps=2, gradient_clip=1e-3,
        warmup_steps=0, micro_batch_size=4 // accumulation, **tiny_study.RUNS["agem"],
    )  # fmt: skip
    (strategy,) = run.strategies

    def gradient():
        return torch.cat([p.grad.flatten() for p in module.model.parameters()])

    def project(context, step):
        events.append(("project", step, float(gradient().norm())))
        for parameter in context.model.parameters():
            parameter.grad *= 2

    monkeypatch.setattr(strategy, "project", project)
    training_step, clip = (
        AdaptationModule.training_step,
        AdaptationModule.configure_gradient_clipping,
    )

    def traced_step(self, *arguments, **options):
        events.append(("forward", self.trainer.global_step + 1, None))
        return training_step(self, *arguments, **options)

    def traced_clip(self, optimizer, *arguments, **options):
        before = float(gradient().norm())
        weights = [p.detach().clone() for p in module.model.parameters()]
        clip(self, optimizer, *arguments, **options)
        events.append(("clip", self.trainer.global_step + 1, before))
        assert float(gradient().norm()) == pytest.approx(1e-3, rel=1e-3)
        assert all(
            torch.equal(a, b) for a, b in zip(weights, module.model.parameters(), strict=True)
        )

    monkeypatch.setattr(AdaptationModule, "training_step", traced_step)
    monkeypatch.setattr(AdaptationModule, "configure_gradient_clipping", traced_clip)
    run.train()
    for step in (1, 2):
        found = [event for event in events if event[1] == step]
        assert [name for name, *_ in found] == ["forward"] * accumulation + ["project", "clip"]
        assert found[-1][2] == pytest.approx(2 * found[-2][2], rel=1e-5)


def test_a_step_asks_the_device_for_no_number(study, module, tmp_path, monkeypatch):
    run = tiny_study.run(study, tmp_path, module, steps=2)
    within, asked = [], []
    training_step, item = AdaptationModule.training_step, torch.Tensor.item

    def watched_step(self, *arguments, **options):
        within.append(self)
        try:
            return training_step(self, *arguments, **options)
        finally:
            within.pop()

    def watched_item(self):
        asked.extend(within)
        return item(self)

    monkeypatch.setattr(AdaptationModule, "training_step", watched_step)
    monkeypatch.setattr(torch.Tensor, "item", watched_item)
    run.train()
    assert not asked


def test_divergence_names_the_step_and_keeps_the_last_checkpoint(
    study, module, tmp_path, monkeypatch
):
    run = tiny_study.run(study, tmp_path, module)
    original = AdaptationModule.forward
    calls = 0

    def forward(self, batch, *arguments, **options):
        nonlocal calls
        calls += 1
        output = original(self, batch, *arguments, **options)
        if calls == 6:
            output.logits = output.logits * math.nan
        return output

    monkeypatch.setattr(AdaptationModule, "forward", forward)
    with pytest.raises(Diverged, match=r"the loss is nan at step 6; lower the learning rate"):
        run.train()
    checkpoint = tmp_path / "checkpoints/first/step=4.ckpt"
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"continual": {"replay": {"ratio": 0.5, "memory_rows": 1000}}},
            r"continual\.replay\.memory_rows: 1000 is more than the \d+ training rows of 'known'",
        ),
        (
            {"continual": {"gem": {"memory_rows": 1000, "batch_rows": 4, "margin": 0.0}}},
            r"continual\.gem\.memory_rows: 1000 is more than",
        ),
        (
            {"continual": {"ewc": {**tiny_study.FISHER, "rows": 1000}}},
            r"continual\.ewc\.rows: 1000 is more than",
        ),
        ({"method": "lora", **tiny_study.LORA, "rank": 33}, r"rank.*33.*(16|32)"),
        (
            {**tiny_study.RUNS["prefix"], "continual": tiny_study.RUNS["gem"]["continual"]},
            r"'gem' is not defined for method 'prefix'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_training(study, module, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        tiny_study.run(study, tmp_path, module, **settings)
    assert not (tmp_path / "checkpoints").exists()
