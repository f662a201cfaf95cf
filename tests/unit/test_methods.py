"""Methods as NeMo applies them, against the `peft` package and against arithmetic."""

import json

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

import tiny_model
from jadapt import settings as study_settings
from jadapt.errors import UserError
from jadapt.methods import registry
from jadapt.methods.base import load_trainable, trainable_state
from jadapt.models import loading

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LORA = {"rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": ALL_LINEAR, "a_init": "kaiming"}
IDS = torch.tensor([[1, 5, 9, 13, 21]])


def adapted(model, **changes):
    """Apply LoRA the way NeMo's trainer does: through the transform, to a walkable module."""
    from nemo.collections.llm.fn import walk

    method = registry.create("lora", {**LORA, **changes})
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return method, walk(model, method.transform().transform)


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_registry_and_schema_name_the_same_methods():
    described = study_settings.read_schema("methods")["$defs"]
    assert set(described) == set(registry.METHODS)
    for name, method in registry.METHODS.items():
        assert set(described[name]["properties"]) == set(method.hyperparameters), name


def test_an_unknown_method_is_named():
    with pytest.raises(UserError, match=r"unknown method 'lroa'; did you mean 'lora'\?"):
        registry.create("lroa", {})


def test_sft_trains_everything_and_restores(tmp_path):
    model = tiny_model.build()
    method = registry.create("sft", {"learning_rate": 1})
    assert method.transform() is None
    assert set(trainable_state(model)) == {name for name, _ in model.named_parameters()}
    method.save(model, tmp_path)
    other = tiny_model.build(seed=5)
    assert not torch.equal(logits(other), logits(model))
    method.restore(other, tmp_path)
    assert torch.equal(logits(other), logits(model))


def test_untrained_lora_changes_no_logit_and_trains_adapters_only():
    plain = logits(tiny_model.build())
    _, model = adapted(tiny_model.build())
    assert torch.equal(logits(model), plain)
    names = trainable_state(model)
    assert names
    assert all(".lora_a." in name or ".lora_b." in name for name in names)


@pytest.mark.parametrize("init", ["kaiming", "nemo"])
def test_initialisation_of_a(init):
    _, model = adapted(tiny_model.build(), a_init=init)
    a = model.model.layers[0].self_attn.q_proj.lora_a.weight
    if init == "kaiming":
        # Kaiming uniform with a = sqrt(5) on fan-in n: U(-1/sqrt(n), 1/sqrt(n)).
        limit = a.shape[1] ** -0.5
        assert a.abs().max() <= limit
        assert a.min() < -limit / 2
    else:
        assert a.min() >= 0
        assert a.max() > 0.9


def test_the_adapter_reads_back_in_peft_and_in_nemo(tmp_path):
    base = tiny_model.save(tmp_path / "base")
    method, model = adapted(loading.load(base, base))
    generator = torch.Generator().manual_seed(1)
    for tensor in trainable_state(model).values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
    trained = logits(model)
    assert (trained - logits(tiny_model.build())).abs().max() > 1e-3

    adapter = tmp_path / "adapter"
    method.save(model, adapter)
    stored = json.loads((adapter / "adapter_config.json").read_text())
    assert (stored["r"], stored["lora_alpha"]) == (4, 8)
    torch.testing.assert_close(logits(loading.load(adapter, base)), trained, atol=1e-5, rtol=1e-4)

    _, again = adapted(loading.load(base, base))
    method.restore(again, adapter)
    assert torch.equal(logits(again), trained)


def test_an_adapter_of_another_shape_is_refused(tmp_path):
    method, model = adapted(tiny_model.build(), target_modules=["q_proj"])
    method.save(model, tmp_path)
    other, wider = adapted(tiny_model.build())
    with pytest.raises(UserError, match="trained parameters are missing"):
        other.restore(wider, tmp_path)


def test_loading_names_what_is_missing():
    model = tiny_model.build()
    with pytest.raises(UserError, match=r"here: .* first model\.embed_tokens\.weight"):
        load_trainable(model, {}, "here")


@pytest.mark.parametrize(
    ("targets", "rank", "count"),
    [
        (ALL_LINEAR, 16, 8_798_208),
        (ALL_LINEAR, 4, 2_199_552),
        (["q_proj", "v_proj"], 8, 540_672),
        (["gate_proj", "up_proj", "down_proj"], 8, 3_317_760),
    ],
)
def test_counts_on_the_shape_of_qwen2_5_half_billion(targets, rank, count):
    """Exact numbers of trainable parameters, by a model without memory (the meta device)."""
    with torch.device("meta"):
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
                num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True,
            )
        )  # fmt: skip
        assert sum(p.numel() for p in model.parameters()) == 494_032_768
        _, model = adapted(model, target_modules=targets, rank=rank)
    assert sum(tensor.numel() for tensor in trainable_state(model).values()) == count
