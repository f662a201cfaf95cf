"""Weights between the base model and an adapted one."""

import pytest
import torch

import tiny_model
from adapting import logits, randomise
from jadapt.methods import registry
from jadapt.methods.interpolation import interpolated
from tiny_study import RUNS


@pytest.fixture
def base(tmp_path):
    tiny_model.save(tmp_path / "base")
    return tmp_path / "base"


def adapted(name):
    method = registry.create(RUNS[name].get("method", "sft"), RUNS[name])
    model = tiny_model.build()
    method.apply(model)
    randomise(model)
    return method, model.eval()


@pytest.mark.parametrize("name", ["sft", "lora", "houlsby"])
def test_the_ends_are_the_base_model_and_the_adapted_one(name, base):
    method, model = adapted(name)
    assert method.interpolates
    after = logits(model)
    with interpolated(model, method, base, 0.0):
        assert torch.equal(logits(model), logits(tiny_model.build().eval()))
    assert torch.equal(logits(model), after)
    with interpolated(model, method, base, 1.0):
        torch.testing.assert_close(logits(model), after)


def test_half_of_an_update_of_lora_is_half_its_scale(base):
    method, model = adapted("lora")
    with interpolated(model, method, base, 0.5):
        found = logits(model)
    for layer in model.modules():
        if hasattr(layer, "lora_b"):
            layer.lora_b.weight.data /= 2
    torch.testing.assert_close(logits(model), found)


def test_full_weights_are_means(base):
    method, model = adapted("sft")
    start = dict(tiny_model.build().named_parameters())
    expected = {n: 0.25 * p + 0.75 * start[n] for n, p in model.named_parameters()}
    with interpolated(model, method, base, 0.25):
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter, expected[name])


@pytest.mark.parametrize("name", ["dora", "prefix", "den"])
def test_methods_whose_changes_have_no_share_say_so(name):
    assert not registry.METHODS[name].interpolates
