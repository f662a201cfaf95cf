"""The optimiser: one rate for all, or groups at a multiple of it."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from jadapt.methods.base import Method
from jadapt.training.optimisation import optimiser_module

SETTINGS = {
    "learning_rate": 0.1, "steps": 10, "warmup_steps": 2, "minimum_learning_rate_ratio": 0.1,
    "weight_decay": 0.3, "beta1": 0.9, "beta2": 0.95,
}  # fmt: skip


class Faster(Method):
    """The second matrix trains four times as fast."""

    def learning_rate_factors(self, model):
        return {"1.weight": 4.0}


def made(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    model[2].requires_grad_(False)
    module = SimpleNamespace(
        method=method, model=model, named_parameters=lambda: model.named_parameters("model")
    )
    optimiser_module(SETTINGS).connect(module)
    (found,) = module.configure_optimizers()
    return model, found["optimizer"], found["lr_scheduler"]["scheduler"]


def rates(method):
    """The rate of each parameter at every step."""
    model, optimiser, schedule = made(method)
    found = {name: [] for name, p in model.named_parameters() if p.requires_grad}
    for _ in range(SETTINGS["steps"] + 1):
        for group in optimiser.param_groups:
            for name in found:
                if any(p is dict(model.named_parameters())[name] for p in group["params"]):
                    found[name].append(group["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_a_factor_scales_the_whole_schedule_of_its_parameters_alone():
    plain, faster = rates(Method({})), rates(Faster({}))
    assert plain.keys() == faster.keys() == {"0.weight", "0.bias", "1.weight", "1.bias"}
    for name in plain:
        factor = 4 if name == "1.weight" else 1
        assert faster[name] == pytest.approx([factor * rate for rate in plain[name]])
    assert plain["0.weight"][-1] == pytest.approx(0.01)


@pytest.mark.parametrize("method", [Method({}), Faster({})])
def test_matrices_decay_and_vectors_do_not(method):
    model, optimiser, _ = made(method)
    for group in optimiser.param_groups:
        assert {p.ndim for p in group["params"]} <= ({2} if group["weight_decay"] else {1})
        assert group["weight_decay"] in (0.0, 0.3)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for group in optimiser.param_groups for p in group["params"]} == trained
    # The log shows the rate of the first.
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.1 / 3)
