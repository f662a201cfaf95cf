"""A recorded step computes what the step does; replays add up."""

import weakref
from functools import partial

import pytest
import torch

import tiny_study
from jadapt.training import module as module_of_training
from jadapt.training.kernels import cuda_graphs
from jadapt.training.kernels.cuda_graphs import Recorder


def rerun(function):
    """Stand for a CUDA graph: a replay computes anew, into the same memory."""
    results = [None if r is None else r.detach().clone() for r in function()]

    @torch.enable_grad()
    def replay():
        for result, fresh in zip(results, function(), strict=True):
            if result is not None:
                result.copy_(fresh.detach())

    return results, replay


@pytest.mark.parametrize("name", ["sft", "lora", "prefix_mlp", "gem", "ewc"])
def test_a_recorded_step_gives_the_same_loss_curve(name, study, module, tmp_path, monkeypatch):
    """Two micro-batches a step, so that gradients are added up across replays."""
    settings = tiny_study.RUNS[name] | {"micro_batch_size": 1, "global_batch_size": 2}
    settings |= {"dropout": 0.0} if name == "lora" else {}
    fast = {"cross_entropy_chunk": 24}
    plain = tiny_study.losses(study, tmp_path / "plain", module, **settings, fast=fast)
    monkeypatch.setattr(module_of_training, "Recorder", partial(Recorder, capture=rerun))
    fast |= {"cuda_graphs": True}
    recorded = tiny_study.losses(study, tmp_path / "recorded", module, **settings, fast=fast)
    assert module._recorder is not None and len(module._recorder._recordings) == 1
    # The penalty's gradient is added in another place of the sum, and its pull is strong.
    assert recorded == pytest.approx(plain, rel=1e-4 if name == "ewc" else 1e-6)


def test_replays_of_several_shapes_add_up_their_gradients():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    unused = torch.nn.Parameter(torch.ones(1))
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    seen = []

    def compute(batch, power=1):
        seen.append(power)
        return (weight * batch["x"]).sum(0).pow(power).sum()

    recorder = Recorder(compute, [weight, unused, frozen], capture=rerun)
    batches = [torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 1.0], [1.0, 4.0]])]
    for x in (batches[0], batches[1], batches[0], batches[0]):
        (recorder({"x": x}) * 10).backward()
    assert weight.grad.tolist() == [10 * (1 + 6 + 1 + 1), 10 * (2 + 5 + 2 + 2)]
    assert unused.grad is None and frozen.grad is None
    # A step later the memory is used again.
    weight.grad = None
    recorder({"x": batches[1]}).backward()
    assert weight.grad.tolist() == [6, 5]
    # Kinds of batches are told apart; beyond a number of shapes nothing is recorded.
    assert recorder({"x": batches[0]}, power=2).item() == 4 + 36
    assert recorder({"x": batches[0]}, power=3).item() == 8 + 216
    for _ in range(2):
        weight.grad = None
        recorder({"x": batches[0]}, power=4).backward()
        assert weight.grad.tolist() == [4 * 8 * 1, 4 * 216 * 2]
    assert len(recorder._recordings) == cuda_graphs.SHAPES


def test_den_changes_the_model_and_is_not_recorded(study, module, tmp_path):
    run = tiny_study.run(
        study, tmp_path, module, **tiny_study.RUNS["den"] | {"fast": {"cuda_graphs": True}}
    )
    run.train()
    assert module._recorder is None


def test_what_was_recorded_is_gone_when_it_is_released():
    """At once: it refers to what records and is referred to by it, and may hold most of a card."""

    def capture(function):
        """Like a graph, holds results and not the function."""
        return function(), lambda: None

    weight = torch.nn.Parameter(torch.ones(3))
    recorder = Recorder(lambda batch: (weight * batch["x"]).sum(), [weight], capture=capture)
    recorder({"x": torch.arange(3.0)}).backward()
    (recording,) = recorder._recordings.values()
    gone = weakref.ref(recording)
    del recording
    recorder.release()
    assert gone() is None


def test_gradients_take_no_memory_from_step_to_step(study, module, tmp_path):
    tiny_study.losses(study, tmp_path, module, sequence=["first"], steps=2)
    assert all(parameter.grad is None for parameter in module.model.parameters())
