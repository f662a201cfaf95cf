"""Fused projections compute what each layer does by itself."""

import copy

import pytest
import torch
from safetensors.torch import load_file

import tiny_model
import tiny_study
from jadapt.methods import registry
from jadapt.training.kernels import projections


@pytest.mark.parametrize(
    ("name", "compiled"),
    [
        *((name, False) for name in ("lora", "lora_ewc", "prefix", "houlsby", "ewc", "gem")),
        *((name, True) for name in ("prefix", "lora", "sft")),
    ],
)
def test_fused_projections_give_the_same_loss_curve(name, compiled, study, module, tmp_path):
    """24 steps over two tasks; the models that are written are the same too."""
    settings = tiny_study.RUNS[name] | ({"dropout": 0.0} if "lora" in name else {})
    plain = tiny_study.losses(study, tmp_path / "plain", module, **settings)
    fast = {"fuse_projections": True, "compile_layers": compiled, "deterministic": False}
    fused = tiny_study.losses(study, tmp_path / "fused", module, **settings, fast=fast)
    assert fused == pytest.approx(plain, rel=1e-4)
    first, second = (
        load_file(next((tmp_path / way / "output/models/second").glob("*.safetensors")))
        for way in ("plain", "fused")
    )
    assert first.keys() == second.keys()
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("trained", [False, True])
def test_projections_are_fused_where_they_can_be(trained):
    model = tiny_model.build(num_hidden_layers=2, attention_bias=True)
    for layer in projections.layers(model):
        layer.requires_grad_(trained)
        for name, parameter in layer.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    plain = copy.deepcopy(model)
    names = list(model.state_dict())
    # Queries with keys and values in each layer; gate with up where they do not train.
    assert len(projections.fuse_projections(model)) == (2 if trained else 4)
    assert list(model.state_dict()) == names
    ids = torch.tensor([[1, 5, 9, 13]])
    for one in (model, plain):
        one(input_ids=ids, labels=ids).loss.backward()
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad)
    layer = projections.layers(model)[0].self_attn
    assert layer.k_proj.group.given is None and layer.k_proj.group.later == ()
    # Asked for something else, a layer computes for itself.
    x = torch.randn(2, 32)
    layer.q_proj(torch.randn(2, 32))
    torch.testing.assert_close(layer.k_proj(x), plain.model.layers[0].self_attn.k_proj(x))


def test_projections_as_wide_as_their_input_train_apart():
    model = tiny_model.build(num_key_value_heads=4)
    assert projections.fuse_projections(model) == []


@pytest.mark.parametrize("name", ["prefix", "lora", "sft"])
def test_a_model_that_went_to_another_device_and_back_is_fused_again(name):
    model = tiny_model.build(num_hidden_layers=1)
    registry.create(name, tiny_study.RUNS[name] | {"dropout": 0.0}).apply(model)
    groups = projections.fuse_projections(model)
    ids = torch.tensor([[1, 5, 9, 13]])
    for parameter in model.parameters():
        # What a move does.
        parameter.data = parameter.data.clone()
    for group in groups:
        group.attach()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    plain = copy.deepcopy(model)
    for layer in plain.modules():
        if hasattr(layer, "group"):
            layer.__class__ = type(layer).__bases__[1]
    torch.testing.assert_close(model(input_ids=ids).logits, plain(input_ids=ids).logits)


def test_ranks_that_fill_no_block_are_padded():
    model = tiny_model.build(num_hidden_layers=1)
    settings = tiny_study.RUNS["lora"] | {"dropout": 0.0, "rank": 3}
    registry.create("lora", settings).apply(model)
    for name, parameter in model.named_parameters():
        if "lora_b" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    plain = copy.deepcopy(model)
    groups = projections.fuse_projections(model)
    assert all(group.width == 16 for group in groups)
    ids = torch.tensor([[1, 5, 9, 13]])
    for one in (model, plain):
        one(input_ids=ids, labels=ids).loss.backward()
    trained = 0
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        if mine.grad is not None:
            trained += 1
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert trained == 2 * len(settings["target_modules"])
