"""What strategies are handed: the micro-batch, the model's outputs, the resolved settings."""

import pytest
import torch

import tiny_model
import tiny_study
from jadapt.config import composition
from jadapt.core.declarations import STRATEGIES
from jadapt.core.errors import UserError
from jadapt.methods import registry
from jadapt.methods.outputs import Outputs
from jadapt.methods.strategy import Cost
from jadapt.training.run import Run
from run_files import lines, without_clocks

LWF = {"continual": {"lwf": {"strength": 5.0, "temperature": 1.0}}}
WEAK = {"continual": {"lwf": {"strength": 0.01, "temperature": 1.0}}}
CHUNKED = {"fast": {"cross_entropy_chunk": 5}}


def test_a_loss_of_all_logits_is_the_same_chunk_by_chunk():
    model = tiny_model.build()
    ids = torch.randint(3, tiny_model.VOCABULARY, (2, 9))
    weights = torch.rand(18)

    def loss_of(logits, weights):
        return (logits.logsumexp(-1) * weights).sum()

    found = []
    for chunk in (0, 1, 5, 18, 100):
        model.zero_grad()
        hidden = model.base_model(input_ids=ids).last_hidden_state.flatten(0, 1)
        values = hidden if chunk else model.get_output_embeddings()(hidden)
        total = Outputs.of(model, values, chunk).total(loss_of, weights)
        total.backward()
        found.append((total, *(p.grad.clone() for p in model.parameters())))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [{}, tiny_study.RUNS["lora"] | {"dropout": 0.0}])
def test_distillation_works_with_both_losses(method, study, module, tmp_path):
    logs = {}
    for name, extra in {
        "weak": WEAK, "plain": LWF, "chunked": {**LWF, **CHUNKED},
    }.items():  # fmt: skip
        settings = {**method, **extra, "log_interval": 1}
        run = tiny_study.run(study, tmp_path / name, module, **settings)
        run.train()
        run.publish()
        logs[name] = lines(tmp_path / name)

    def values(name, key):
        return [line[key] for line in logs[name] if key in line]

    for key in ("training_loss", "lwf_penalty"):
        assert values("plain", key) == pytest.approx(values("chunked", key), rel=1e-3, abs=1e-4)
    # The first step starts at the teacher.
    assert values("plain", "lwf_penalty")[0] == pytest.approx(0, abs=1e-6)
    assert max(values("plain", "lwf_penalty")) > 0.01
    # What is weighed more moves less, measured in nats a token.
    assert values("plain", "lwf_penalty")[-1] / 5.0 < values("weak", "lwf_penalty")[-1] / 0.01 / 2


class Killed(Exception):
    """Stands for the end of the process."""


def test_the_teacher_outlives_the_process(study, module, tmp_path, monkeypatch):
    whole = tiny_study.run(study, tmp_path / "whole", module, **LWF)
    whole.train()
    whole.publish()
    task = Run._task

    def first_task_only(self, place, name):
        if place:
            raise Killed
        return task(self, place, name)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Run, "_task", first_task_only)
        tiny_study.run(study, tmp_path / "killed", module, **LWF).train()
    again = tiny_study.run(study, tmp_path / "killed", module, **LWF)
    again.train()
    again.publish()
    one, other = (without_clocks(lines(tmp_path / name)) for name in ("whole", "killed"))
    assert one == other


def test_a_strategy_that_reads_outputs_refuses_recorded_steps():
    for key in ("cuda_graphs", "fuse_projections"):
        settings = {"method": "sft", **LWF, "fast": {key: True}}
        with pytest.raises(UserError, match=rf"^fast\.{key}: does not go with 'lwf'; set it to"):
            composition.check_fast(settings)
        composition.check_fast({**settings, "fast": {key: False, **CHUNKED["fast"]}})


def test_a_strategy_sees_the_settings_of_its_run(study, module, tmp_path, monkeypatch):
    def check(self, rows, settings):
        if settings["steps"] > 10:
            raise UserError(f"continual.lwf: {settings['steps']} steps of {sorted(rows)}")

    monkeypatch.setattr(STRATEGIES["lwf"], "check", check)
    with pytest.raises(UserError, match=r"^methods\.tiny\.continual\.lwf: 12 steps of \['first"):
        tiny_study.run(study, tmp_path, module, **LWF)


def test_costs_count_what_is_stored_and_processed():
    def cost(name, settings):
        return vars(registry.create_strategies({name: settings}, "sft")[0].cost(3))

    none = vars(Cost())
    assert set(none.values()) == {0}
    memory = {"memory_rows": 8, "batch_rows": 2}
    fisher = {"strength": 1.0, "fisher": "sampled", "rows": 32, "draws": 2}
    noting = {"rows_at_end": 32, "backwards_at_end": 2}
    distilling = {"strength": 1.0, "temperature": 2.0}
    assert cost("joint", {}) == none
    assert cost("wise", {"share": 0.5}) == none | {"stored_copies": 1}
    assert cost("lwf", distilling) == none | {"stored_copies": 1, "forwards_per_step": 1}
    assert cost("replay", {"ratio": 0.5, "memory_rows": 8}) == none | {"stored_rows": 24}
    assert cost("l2", {"strength": 1.0}) == none | {"stored_copies": 1}
    assert cost("ewc", fisher) == none | {"stored_copies": 6} | noting
    assert cost("online_ewc", fisher | {"decay": 0.9}) == none | {"stored_copies": 2} | noting
    assert cost("gem", memory | {"margin": 0}) == none | {"stored_rows": 24, "rows_per_step": 6}
    assert cost("agem", memory) == none | {"stored_rows": 24, "rows_per_step": 2}
