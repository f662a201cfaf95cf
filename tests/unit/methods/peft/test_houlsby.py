"""Bottleneck adapters against their formula."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM

import tiny_model
from adapting import (
    applied,
    assert_close,
    assert_trains_exactly_its_parameters,
    count,
    largest_difference,
    logits,
    qwen2_5_half_billion,
    randomise,
    tiny_llama,
    transformed,
)
from jadapt.core.errors import UserError
from jadapt.methods.parameters import trainable_state
from jadapt.methods.peft.houlsby import Houlsby

SETTINGS = {"bottleneck": 6, "activation": "gelu", "init_std": 0.0, "train_norms": False}


def houlsby(**changes):
    return Houlsby({**SETTINGS, **changes})


@pytest.mark.parametrize("build", [tiny_model.build, tiny_llama])
@pytest.mark.parametrize("adapt", [applied, transformed])
def test_a_start_at_zero_changes_no_logit(build, adapt):
    model = adapt(houlsby(), build())
    assert torch.equal(logits(model), logits(build()))
    names = trainable_state(model)
    assert len(names) == 2 * 2 * 4
    assert all(".adapter_down." in name or ".adapter_up." in name for name in names)
    assert_trains_exactly_its_parameters(model)


def test_a_start_near_zero_changes_little_and_in_proportion():
    plain = logits(tiny_model.build())
    differences = []
    for std in (1e-2, 1e-3):
        torch.manual_seed(0)
        model = tiny_model.build()
        torch.manual_seed(3)
        differences.append(largest_difference(logits(applied(houlsby(init_std=std), model)), plain))
    assert 1e-4 < differences[0] < 0.2
    assert differences[0] / differences[1] == pytest.approx(10, rel=0.1)


def test_a_start_at_zero_is_left_again():
    """W_up gets a gradient though it is zero; were W_down zero as well, neither would."""
    model = applied(houlsby())
    for name, tensor in trainable_state(model).items():
        assert tensor.any() == name.endswith("adapter_down.weight"), name
    model(input_ids=torch.tensor([[1, 5, 9]])).logits.logsumexp(-1).sum().backward()
    up = model.model.layers[0].mlp.down_proj.adapter_up.weight
    assert up.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", lambda x: x.clamp(min=0)),
        ("silu", lambda x: x / (1 + torch.exp(-x))),
        ("gelu", lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5))),
    ],
)
def test_both_sub_layers_add_what_the_formula_says(activation, function):
    """Hooks see the sub-layers' outputs before and after the adapter would have been."""
    model = randomise(applied(houlsby(activation=activation)), scale=0.5)
    block = model.model.layers[1]
    for linear in (block.self_attn.o_proj, block.mlp.down_proj):
        x = torch.randn(2, 3, linear.in_features)
        h = x @ linear.weight.T
        down = h @ linear.adapter_down.weight.T + linear.adapter_down.bias
        expected = h + function(down) @ linear.adapter_up.weight.T + linear.adapter_up.bias
        assert_close(linear(x), expected, 1e-5)
    caught = {}
    block.self_attn.register_forward_hook(lambda m, i, o: caught.update(attention=o[0]))
    block.mlp.register_forward_hook(lambda m, i, o: caught.update(mlp=o))
    block.register_forward_hook(lambda m, i, o: caught.update(before=i[0], after=o[0]))
    logits(model)
    # The residual stream bypasses the adapters.
    assert_close(caught["before"] + caught["attention"] + caught["mlp"], caught["after"])


def test_norms_train_on_request():
    model = applied(houlsby(train_norms=True))
    gains = {name for name in trainable_state(model) if "adapter_" not in name}
    assert gains == {name for name, _ in tiny_model.build().named_parameters() if "norm" in name}
    assert len(gains) == 2 * 2 + 1
    assert_trains_exactly_its_parameters(model)


@pytest.mark.parametrize("train_norms", [True, False])
def test_the_adapter_reads_back(tmp_path, train_norms):
    method = houlsby(train_norms=train_norms)
    model = randomise(transformed(method))
    method.save(model, tmp_path)
    again = applied(method, tiny_model.build())
    method.restore(again, tmp_path)
    assert torch.equal(logits(again), logits(model))
    assert not torch.equal(logits(again), logits(tiny_model.build()))


def test_an_adapter_without_norms_is_not_one_with_them(tmp_path):
    method = houlsby()
    method.save(applied(method), tmp_path)
    other = houlsby(train_norms=True)
    with pytest.raises(UserError, match="trained parameters are missing"):
        other.restore(applied(other), tmp_path)


def test_a_model_without_these_layers_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=4, n_layer=1, n_head=1))
    with pytest.raises(UserError, match="none of the layers o_proj, down_proj"):
        houlsby().apply(model)


@settings(max_examples=10, deadline=None)
@given(
    hidden=st.sampled_from([8, 16, 24]),
    layers=st.integers(1, 3),
    bottleneck=st.integers(1, 40),
    norms=st.booleans(),
)
def test_the_formula_of_the_counts(hidden, layers, bottleneck, norms):
    with torch.device("meta"):
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=8, hidden_size=hidden, intermediate_size=12, num_hidden_layers=layers,
                num_attention_heads=4, num_key_value_heads=2,
            )
        )  # fmt: skip
    applied(houlsby(bottleneck=bottleneck, train_norms=norms, init_std=0.01), model)
    expected = layers * 2 * (2 * hidden * bottleneck + bottleneck + hidden)
    assert count(model) == expected + norms * (2 * layers + 1) * hidden


@pytest.mark.parametrize(
    ("bottleneck", "norms", "expected"),
    [
        (64, False, 5_551_104),
        (64, True, 5_551_104 + 43_904),
        (16, False, 1_420_032),
        (56, False, 4_862_592),
    ],
)
def test_counts_on_the_shape_of_qwen2_5_half_billion(bottleneck, norms, expected):
    method = houlsby(bottleneck=bottleneck, train_norms=norms)
    assert count(applied(method, qwen2_5_half_billion())) == expected


def test_new_parameters_take_the_precision_of_the_weights():
    model = applied(houlsby(init_std=0.01), tiny_model.build().to(torch.bfloat16))
    assert {tensor.dtype for tensor in trainable_state(model).values()} == {torch.bfloat16}
    assert logits(model).dtype == torch.bfloat16
