"""Settings of LoRA (rsLoRA, LoRA+, PiSSA, trained embeddings) against the `peft` package."""

import json
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

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
from jadapt.methods.interpolation import interpolated
from jadapt.methods.loading import load
from jadapt.methods.parameters import trainable_state
from jadapt.methods.peft.dora import DoRA
from jadapt.methods.peft.lora import LoRA

SETTINGS = {
    "rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": ALL_LINEAR, "a_init": "kaiming",
}  # fmt: skip
VARIANTS = {
    "rslora": {"use_rslora": True},
    "pissa": {"a_init": "pissa"},
    "pissa with rslora": {"a_init": "pissa", "use_rslora": True},
    "embeddings": {"train_embeddings": True},
    "all": {"a_init": "pissa", "use_rslora": True, "train_embeddings": True},
}


def lora(**changes):
    return LoRA({**SETTINGS, **changes})


@pytest.fixture
def base(tmp_path):
    return tiny_model.save(tmp_path / "base")


def theirs(folder, tied=True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(tiny_model.build(tie_word_embeddings=tied), folder)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_model_starts_unchanged_and_trains_what_it_says(changes):
    model = applied(lora(**changes))
    assert_close(logits(model), logits(tiny_model.build()))
    embeddings = {"model.embed_tokens.weight"} if changes.get("train_embeddings") else set()
    names = set(trainable_state(model))
    assert {name for name in names if ".lora_" not in name} == embeddings
    assert len(names - embeddings) == 2 * 2 * len(ALL_LINEAR)
    assert_trains_exactly_its_parameters(model)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_peft_reads_what_was_trained(changes, base, tmp_path):
    method = lora(**changes)
    model = applied(method)
    # Not far from the start, where the principal part of a weight still matters.
    start = {name: tensor.clone() for name, tensor in trainable_state(model).items()}
    randomise(model)
    for name, tensor in trainable_state(model).items():
        tensor.add_(start[name])
    assert largest_difference(logits(model), logits(tiny_model.build())) > 1e-2
    method.save(model, tmp_path / "adapter")
    assert_close(logits(theirs(tmp_path / "adapter")), logits(model), 1e-4)
    loaded, _ = load(tmp_path / "adapter", base)
    assert_close(logits(loaded), logits(model), 1e-4)
    # Read back to go on from, it is the very same.
    again = applied(method)
    method.restore(again, tmp_path / "adapter")
    assert torch.equal(logits(again), logits(model))
    assert trainable_state(again).keys() == trainable_state(model).keys()


def test_the_scale_of_rslora_is_that_of_peft(tmp_path):
    method = lora(use_rslora=True)
    assert method.scale == 8 / 4**0.5
    method.save(randomise(applied(method)), tmp_path)
    module = theirs(tmp_path).base_model.model.model.layers[0].self_attn.q_proj
    assert module.scaling["default"] == method.scale


def test_pissa_starts_where_peft_does():
    model = applied(lora(a_init="pissa"))
    settings = LoraConfig(
        r=4, lora_alpha=8, target_modules=ALL_LINEAR, init_lora_weights="pissa",
    )  # fmt: skip
    peft = get_peft_model(tiny_model.build(), settings).base_model.model
    for name in ("model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj"):
        own, other = model.get_submodule(name), peft.get_submodule(name)
        torch.testing.assert_close(own.weight, other.weight, atol=1e-5, rtol=1e-4)
        product = own.lora_b.weight @ own.lora_a.weight
        expected = other.lora_B["default"].weight @ other.lora_A["default"].weight
        torch.testing.assert_close(product, expected, atol=1e-5, rtol=1e-4)
        # The principal part: no product of this rank is nearer to the weight.
        values = torch.linalg.svdvals(own.weight + 2 * product)
        left = torch.linalg.matrix_norm(own.weight)
        torch.testing.assert_close(left, values[4:].square().sum().sqrt(), atol=1e-4, rtol=1e-4)


def test_an_adapter_that_started_elsewhere_reads_back(tmp_path):
    """Another machine may find singular vectors in another sign or rounding."""
    method = lora(a_init="pissa")
    model = randomise(applied(method))
    method.save(model, tmp_path)
    other = applied(method)
    with torch.no_grad():
        for module in other.modules():
            if hasattr(module, "started_a"):
                module.weight.add_(method.scale * (module.started_b @ module.started_a))
                module.started_a.mul_(-1.01)
                module.started_b.mul_(-1.0)
                module.weight.sub_(method.scale * (module.started_b @ module.started_a))
    method.restore(other, tmp_path)
    assert_close(logits(other), logits(model), 1e-4)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_none_of_the_change_is_the_base_model(changes, base):
    method = lora(**changes)
    model = randomise(applied(method))
    trained = logits(model)
    with interpolated(model, method, base, 0.0):
        assert_close(logits(model), logits(tiny_model.build()))
    assert torch.equal(logits(model), trained)


def test_untied_output_layers_train_along(tmp_path):
    method = lora(train_embeddings=True)
    model = applied(method, tiny_model.build(tie_word_embeddings=False))
    names = {name for name in trainable_state(model) if ".lora_" not in name}
    assert names == {"model.embed_tokens.weight", "lm_head.weight"}
    randomise(model)
    method.save(model, tmp_path)
    stored = json.loads((tmp_path / "adapter_config.json").read_text())
    assert stored["modules_to_save"] == ["embed_tokens", "lm_head"]
    assert_close(logits(theirs(tmp_path, tied=False)), logits(model), 1e-4)


def test_penalties_are_about_embeddings_that_train_too():
    method = lora(train_embeddings=True)
    model = randomise(applied(method))
    changes, leaves = method.weight_delta(model), method.weight_delta_leaves(model)
    assert changes.keys() == leaves.keys()
    name = "model.embed_tokens.weight"
    assert changes[name] is leaves[name] is model.model.embed_tokens.weight


def test_nemo_applies_the_same():
    method = lora(**VARIANTS["all"])
    model = transformed(method)
    assert_close(logits(model), logits(tiny_model.build()))
    assert set(trainable_state(model)) == set(trainable_state(applied(method)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"use_rslora": True}, 8_798_208),
        ({"lora_plus_ratio": 16.0}, 8_798_208),
        ({"train_embeddings": True}, 8_798_208 + 136_134_656),
    ],
)
def test_counts_on_the_shape_of_qwen2_5_half_billion(changes, expected):
    assert count(applied(lora(rank=16, **changes), qwen2_5_half_billion())) == expected


def test_the_factors_b_train_faster():
    method = lora(lora_plus_ratio=16.0)
    model = applied(method)
    factors = method.learning_rate_factors(model)
    assert set(factors.values()) == {16.0}
    assert set(factors) == {name for name in trainable_state(model) if ".lora_b." in name}
    assert lora().learning_rate_factors(model) == {}
    own = {key: SETTINGS[key] for key in ("rank", "alpha", "dropout", "target_modules")}
    assert DoRA(own).learning_rate_factors(model) == {}


def test_what_would_be_lost_is_refused(tmp_path):
    shape = tiny_model.build().config
    with pytest.raises(UserError, match=r"^dropout: 0\.1 would drop a part of the model itself"):
        lora(a_init="pissa", dropout=0.1).check(shape)
    method = lora(use_rslora=True)
    method.save(applied(method), tmp_path)
    with pytest.raises(UserError, match="use_rslora is True, not False"):
        lora().restore(applied(lora()), tmp_path)
