"""LoRA as NeMo applies it, against the `peft` package and against arithmetic."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

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
    tiny_llama,
    transformed,
)
from jadapt.core.errors import UserError
from jadapt.methods.full import SFT
from jadapt.methods.parameters import load_trainable, trainable_state
from jadapt.methods.peft.lora import LoRA
from jadapt.methods.peft.targets import linear_shapes

SETTINGS = {
    "rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": ALL_LINEAR, "a_init": "kaiming",
}  # fmt: skip


def lora(**changes):
    return LoRA({**SETTINGS, **changes})


def test_sft_trains_everything_and_restores(tmp_path):
    model = tiny_model.build()
    method = SFT({"learning_rate": 1})
    assert method.transform() is None
    assert set(trainable_state(model)) == {name for name, _ in model.named_parameters()}
    method.save(model, tmp_path)
    other = tiny_model.build(seed=5)
    assert not torch.equal(logits(other), logits(model))
    method.restore(other, tmp_path)
    assert torch.equal(logits(other), logits(model))


@pytest.mark.parametrize("adapt", [applied, transformed])
def test_untrained_lora_changes_no_logit_and_trains_adapters_only(adapt):
    plain = logits(tiny_model.build())
    model = adapt(lora())
    assert torch.equal(logits(model), plain)
    names = trainable_state(model)
    assert len(names) == 2 * 2 * len(ALL_LINEAR)
    assert all(".lora_a." in name or ".lora_b." in name for name in names)
    assert_trains_exactly_its_parameters(model)


@pytest.mark.parametrize("init", ["kaiming", "nemo"])
def test_initialisation_of_a(init):
    model = applied(lora(a_init=init))
    a = model.model.layers[0].self_attn.q_proj.lora_a.weight
    if init == "kaiming":
        # Kaiming uniform with a = sqrt(5) on fan-in n: U(-1/sqrt(n), 1/sqrt(n)).
        limit = a.shape[1] ** -0.5
        assert a.abs().max() <= limit
        assert a.min() < -limit / 2
    else:
        assert a.min() >= 0
        assert a.max() > 0.9


def test_the_adapter_reads_back_in_nemo(tmp_path):
    method = lora()
    model = randomise(transformed(method))
    trained = logits(model)
    assert largest_difference(trained, logits(tiny_model.build())) > 1e-3
    method.save(model, tmp_path)
    stored = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (stored["r"], stored["lora_alpha"], stored["use_dora"]) == (4, 8, False)
    again = transformed(method)
    method.restore(again, tmp_path)
    assert torch.equal(logits(again), trained)


def test_the_logits_are_those_of_peft(tmp_path):
    from peft import PeftModel

    method = lora(target_modules=["q_proj", "down_proj"])
    model = randomise(applied(method))
    method.save(model, tmp_path)
    theirs = PeftModel.from_pretrained(tiny_model.build(), tmp_path)
    assert_close(logits(theirs), logits(model))


def test_merging_keeps_the_logits_and_leaves_a_plain_model():
    method = lora()
    model = randomise(applied(method))
    before = logits(model)
    merged = method.merge(model)
    assert_close(logits(merged), before)
    assert type(merged.model.layers[0].self_attn.q_proj) is torch.nn.Linear
    assert set(trainable_state(merged)) == set(trainable_state(tiny_model.build()))
    assert torch.equal(logits(model), before)


def test_the_effective_change_is_the_scaled_product():
    method = lora(rank=2, alpha=3)
    model = randomise(applied(method))
    q_proj = model.model.layers[1].self_attn.q_proj
    change = method.weight_delta(model)["model.layers.1.self_attn.q_proj"]
    expected = 1.5 * torch.einsum("or,ri->oi", q_proj.lora_b.weight, q_proj.lora_a.weight)
    torch.testing.assert_close(change, expected)
    assert len(method.weight_delta(model)) == 2 * len(ALL_LINEAR)


def test_leaves_carry_the_gradient_of_the_effective_change():
    """The chain rule from the leaves through the change is the gradient of the factors."""
    method = lora()
    model = randomise(applied(method))
    leaves, changes = method.weight_delta_leaves(model), method.weight_delta(model)
    assert leaves.keys() == changes.keys()
    assert not any(leaf.requires_grad for leaf in leaves.values())
    for leaf in leaves.values():
        leaf.requires_grad_(True)
    model(input_ids=torch.tensor([[1, 5, 9, 13]])).logits.logsumexp(-1).sum().backward()
    factors = [p for name, p in model.named_parameters() if "lora_" in name]
    through = torch.autograd.grad(
        list(changes.values()), factors, [leaves[name].grad for name in changes]
    )
    for factor, gradient in zip(factors, through, strict=True):
        assert_close(gradient, factor.grad, 1e-4)


def test_an_adapter_of_other_layers_is_refused(tmp_path):
    method = lora(target_modules=["q_proj"])
    method.save(applied(method), tmp_path)
    other = lora()
    with pytest.raises(UserError, match="trained parameters are missing"):
        other.restore(applied(other), tmp_path)


@pytest.mark.parametrize("change", [{"rank": 2}, {"alpha": 16}])
def test_an_adapter_of_another_scale_is_refused(tmp_path, change):
    method = lora()
    method.save(applied(method), tmp_path)
    other = lora(**change)
    with pytest.raises(UserError, match=r"adapter_config.json: (r|lora_alpha) is \d, not"):
        other.restore(applied(other), tmp_path)


def test_loading_names_what_is_missing():
    model = tiny_model.build()
    with pytest.raises(UserError, match=r"here: .* first model\.embed_tokens\.weight"):
        load_trainable(model, {}, "here")


def test_the_largest_rank_is_the_smaller_side_of_the_smallest_target():
    shape = tiny_model.build().config
    lora(rank=16).check(shape)
    lora(rank=32, target_modules=["q_proj", "up_proj"]).check(shape)
    with pytest.raises(UserError, match=r"^rank: 17 is above 16, .* '[kv]_proj' \(16 x 32\)"):
        lora(rank=17).check(shape)
    with pytest.raises(UserError, match=r"^rank: 33 is above 32, .* 'up_proj' \(48 x 32\)"):
        lora(rank=33, target_modules=["up_proj"]).check(shape)


def test_unknown_targets_are_named():
    with pytest.raises(UserError, match=r"target_modules.*'q_prj'; did you mean 'q_proj'\?"):
        lora(target_modules=["q_prj"]).check(tiny_model.build().config)


@pytest.mark.parametrize("build", [tiny_model.build, tiny_llama])
def test_the_shapes_are_those_of_the_models(build):
    model = build()
    found = {
        name.rpartition(".")[2]: tuple(module.weight.shape)
        for name, module in model.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert linear_shapes(model.config) == found


@pytest.mark.parametrize(
    ("targets", "rank", "expected"),
    [
        (ALL_LINEAR, 16, 8_798_208),
        (ALL_LINEAR, 4, 2_199_552),
        (["q_proj", "v_proj"], 8, 540_672),
        (["gate_proj", "up_proj", "down_proj"], 8, 3_317_760),
    ],
)
def test_counts_on_the_shape_of_qwen2_5_half_billion(targets, rank, expected):
    model = qwen2_5_half_billion()
    assert sum(p.numel() for p in model.parameters()) == 494_032_768
    assert count(applied(lora(target_modules=targets, rank=rank), model)) == expected


def test_adapters_of_before_dora_was_told_apart_still_read(tmp_path):
    """A configuration without ``use_dora`` is one of LoRA."""
    method = lora()
    model = randomise(applied(method))
    method.save(model, tmp_path)
    path = tmp_path / "adapter_config.json"
    stored = json.loads(path.read_text())
    del stored["use_dora"]
    path.write_text(json.dumps(stored))
    again = applied(method)
    method.restore(again, tmp_path)
    assert torch.equal(logits(again), logits(model))


def test_tensors_of_another_method_do_not_hide_among_them(tmp_path):
    """Reading looks names up; a missing factor is an error, not a start from zero."""
    method = lora()
    method.save(applied(method), tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, path)
    with pytest.raises(UserError, match="1 trained parameters are missing"):
        method.restore(applied(method), tmp_path)
