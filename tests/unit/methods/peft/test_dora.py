"""DoRA against the `peft` package, against its definition and against LoRA."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_model
from adapting import (
    ALL_LINEAR,
    applied,
    assert_close,
    assert_trains_exactly_its_parameters,
    count,
    largest_difference,
    logits,
    qwen2_5_half_billion,
    randomise,
    transformed,
)
from jadapt.core.errors import UserError
from jadapt.methods.parameters import trainable_state
from jadapt.methods.peft.dora import DoRA
from jadapt.methods.peft.dora_layers import DoRALinear
from jadapt.methods.peft.lora import LoRA

SETTINGS = {"rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": ALL_LINEAR}
KINDS = ("lora_a.weight", "lora_b.weight", "lora_magnitude_vector")


def dora(**changes):
    return DoRA({**SETTINGS, **changes})


def trained(method, adapt=applied):
    """A model whose lengths are near the norms, as training keeps them, and factors anything."""
    model = adapt(method)
    lengths = {
        name: tensor.clone()
        for name, tensor in trainable_state(model).items()
        if "magnitude" in name
    }
    randomise(model)
    for name, tensor in trainable_state(model).items():
        if name in lengths:
            tensor.add_(lengths[name])
    return model


def layer(outputs=6, inputs=5, rank=2, scale=1.5, bias=True, seed=0):
    torch.manual_seed(seed)
    linear = torch.nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    DoRALinear.patch(linear, rank, scale, 0.0)
    with torch.no_grad():
        linear.lora_b.weight.normal_()
    return linear


@pytest.mark.parametrize("adapt", [applied, transformed])
def test_untrained_dora_changes_the_logits_by_rounding_only(adapt):
    """m / ||W|| is exactly 1; only the bias is added in another order. Logits are of order 1."""
    plain = logits(tiny_model.build())
    model = adapt(dora())
    assert largest_difference(logits(model), plain) < 1e-5
    names = trainable_state(model)
    assert len(names) == 3 * 2 * len(ALL_LINEAR)
    assert all(name.endswith(KINDS) for name in names)
    assert_trains_exactly_its_parameters(model)


def test_the_start_is_exact_where_there_is_no_bias():
    torch.manual_seed(0)
    linear = torch.nn.Linear(7, 9, bias=False)
    x = torch.randn(3, 7)
    expected = linear(x)
    DoRALinear.patch(linear, 2, 1.0, 0.0)
    assert torch.equal(linear(x), expected)


@pytest.mark.parametrize("bias", [True, False])
def test_the_output_is_that_of_the_definition(bias):
    linear = layer(bias=bias)
    with torch.no_grad():
        linear.lora_magnitude_vector.uniform_(0.5, 2)
    x = torch.randn(4, 3, 5)
    v = linear.weight + 1.5 * linear.lora_b.weight @ linear.lora_a.weight
    lengths = v.square().sum(dim=1).sqrt()
    weight = torch.diag(linear.lora_magnitude_vector / lengths) @ v
    expected = x @ weight.T + (linear.bias if bias else 0)
    assert_close(linear(x), expected, 1e-5)
    assert_close(linear.weight + linear.change(), weight, 1e-6)


@settings(max_examples=25, deadline=None)
@given(
    outputs=st.integers(1, 8),
    inputs=st.integers(1, 8),
    rank=st.integers(1, 4),
    scale=st.floats(0.1, 4),
    seed=st.integers(0, 1000),
)
def test_the_lengths_of_the_rows_are_the_magnitudes(outputs, inputs, rank, scale, seed):
    linear = layer(outputs, inputs, rank, scale, seed=seed)
    with torch.no_grad():
        linear.lora_magnitude_vector.uniform_(0.5, 2)
        lengths = (linear.weight + linear.change()).norm(dim=1)
    torch.testing.assert_close(lengths, linear.lora_magnitude_vector.detach())


def test_the_logits_and_gradients_are_those_of_peft(tmp_path):
    from peft import PeftModel

    method = dora()
    model = trained(method)
    method.save(model, tmp_path)
    stored = json.loads((tmp_path / "adapter_config.json").read_text())
    assert stored["use_dora"] is True
    theirs = PeftModel.from_pretrained(tiny_model.build(), tmp_path, is_trainable=True).eval()
    assert largest_difference(logits(model), logits(tiny_model.build())) > 1e-2
    assert_close(logits(theirs), logits(model))

    for either in (model, theirs):
        either(input_ids=torch.tensor([[1, 5, 9, 13]])).logits.logsumexp(-1).sum().backward()
    gradients = {
        name.removeprefix("base_model.model.")
        .replace(".default", "")
        .replace("lora_A", "lora_a")
        .replace("lora_B", "lora_b")
        .replace("vector.weight", "vector"): parameter.grad
        for name, parameter in theirs.named_parameters()
        if parameter.requires_grad
    }
    ours = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert ours.keys() == gradients.keys()
    for name in ours:
        assert_close(ours[name], gradients[name], 1e-4)


def test_the_adapter_reads_back_in_nemo(tmp_path):
    method = dora()
    model = trained(method, transformed)
    method.save(model, tmp_path)
    again = transformed(method)
    assert largest_difference(logits(again), logits(model)) > 1e-3
    method.restore(again, tmp_path)
    assert torch.equal(logits(again), logits(model))


def test_lora_does_not_read_an_adapter_of_dora(tmp_path):
    method = dora()
    method.save(applied(method), tmp_path)
    other = LoRA({**SETTINGS, "a_init": "kaiming"})
    with pytest.raises(UserError, match="use_dora is True, not False"):
        other.restore(applied(other), tmp_path)


def test_merging_keeps_the_logits_and_leaves_a_plain_model():
    method = dora()
    model = trained(method)
    merged = method.merge(model)
    assert_close(logits(merged), logits(model))
    assert set(trainable_state(merged)) == set(trainable_state(tiny_model.build()))
    assert type(merged.model.layers[0].self_attn.q_proj) is torch.nn.Linear


def test_leaves_carry_the_gradient_of_the_effective_change():
    """The chain rule from the leaves through the change is the gradient in training."""
    method = dora()
    model = trained(method)
    before = logits(model)
    leaves, changes = method.weight_delta_leaves(model), method.weight_delta(model)
    assert leaves.keys() == changes.keys()
    for leaf in leaves.values():
        leaf.requires_grad_(True)
    assert torch.equal(logits(model), before)
    model(input_ids=torch.tensor([[1, 5, 9, 13]])).logits.logsumexp(-1).sum().backward()
    own = {name: p for name, p in model.named_parameters() if name.endswith(KINDS)}
    through = torch.autograd.grad(
        list(changes.values()), list(own.values()), [leaves[name].grad for name in changes]
    )
    for name, gradient in zip(own, through, strict=True):
        assert_close(gradient, own[name].grad, 1e-4)


def test_mixed_precision_computes_the_norm_in_full():
    linear = layer(64, 48, 4)
    full = linear.row_norms()
    x = torch.randn(8, 48)
    expected = linear(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(linear.row_norms(), full)
        output = linear(x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.2, rtol=0.02)


def test_dropout_acts_in_training_only():
    model = trained(dora(dropout=0.5))
    assert torch.equal(logits(model), logits(trained(dora())))
    model.train()
    assert not torch.equal(logits(model), logits(model))


def test_the_rank_is_checked():
    with pytest.raises(UserError, match=r"^rank: 17 is above 16"):
        dora(rank=17).check(tiny_model.build().config)


def test_counts_on_the_shape_of_qwen2_5_half_billion():
    model = applied(dora(rank=16), qwen2_5_half_billion())
    assert count(model) == 8_798_208 + 304_128
