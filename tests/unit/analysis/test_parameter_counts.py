"""Parameters counted on the true shapes of published models."""

from pathlib import Path

import pytest

from jadapt.analysis import claims, parameter_counts
from jadapt.analysis.expressions import LAYERS

CLAIMS = Path(__file__).resolve().parents[3] / "config" / "claims.yaml"
QWEN = claims.read(CLAIMS).shapes["qwen2_5_0_5b"]


# Counted by hand in 24 layers of 896 x 896, 896 x 128 and 896 x 4,864 matrices.
@pytest.mark.parametrize(
    ("rank", "layers", "count"),
    [
        (16, "all", 8_798_208),
        (8, "qv", 540_672),
        (8, "attention", 1_081_344),
        (8, "mlp", 3_317_760),
    ],
)
def test_lora_is_counted_on_the_true_shape(rank, layers, count):
    assert parameter_counts.lora_parameters(QWEN, rank, LAYERS[layers]) == count


def test_the_model_is_counted_on_its_true_shape():
    assert parameter_counts.total_parameters(QWEN) == 494_032_768


def test_counts_agree_with_transformers_own_model():
    """The same formula on a small shape, against a model that is really built."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = {
        "layers": 2, "hidden_size": 24, "intermediate_size": 40, "attention_heads": 4,
        "key_value_heads": 2, "head_size": 6, "vocabulary_size": 50,
    }  # fmt: skip
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=50, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
        )
    )  # fmt: skip
    assert parameter_counts.total_parameters(shape) == sum(p.numel() for p in model.parameters())
    named = dict(model.named_modules())
    for name, (inputs, outputs) in parameter_counts.matrices(shape).items():
        part = "self_attn" if name in LAYERS["attention"] else "mlp"
        linear = named[f"model.layers.0.{part}.{name}"]
        assert (linear.in_features, linear.out_features) == (inputs, outputs)


def test_choices_of_matrices_are_found():
    assert (
        parameter_counts.lora_choices(
            QWEN, 16, parameter_counts.lora_parameters(QWEN, 16, LAYERS["qv"])
        )
        >= 1
    )
    assert parameter_counts.lora_choices(QWEN, 16, 1_310_720) == 0
