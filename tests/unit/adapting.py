"""What the tests of the methods share: models to adapt, and ways to adapt and to compare them."""

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import tiny_model
from jadapt.methods.parameters import trainable_state

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IDS = torch.tensor([[1, 5, 9, 13, 21, 5, 40], [1, 33, 8, 50, 2, 17, 3]])


def applied(method, model=None):
    """Return the tiny model, or ``model``, with the method's parameters."""
    model = tiny_model.build() if model is None else model
    method.apply(model)
    return model


def transformed(method, model=None):
    """Do the same the way NeMo does: its transform is called on the module around the model."""
    from nemo.collections.llm.fn.mixin import FNMixin

    class Host(nn.Module, FNMixin):
        pass

    host = Host()
    host.model = tiny_model.build() if model is None else model
    method.transform()(host)
    return host.model


def randomise(model, scale=0.1, seed=1):
    """Stand in for training: draw every trainable parameter anew."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in trainable_state(model).values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
    return model


def logits(model, **inputs):
    with torch.no_grad():
        return model(**{"input_ids": IDS, **inputs}).logits


def largest_difference(one, other):
    return (one - other).abs().max().item()


def assert_close(one, other, tolerance=1e-5):
    torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


def gradient_names(model):
    """Names of the parameters with a gradient, that not zero throughout, after a backward pass."""
    model.zero_grad()
    model(input_ids=IDS).logits.logsumexp(-1).sum().backward()
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }


def assert_trains_exactly_its_parameters(model):
    """What a method adds gets gradients, each of it, and nothing else does."""
    randomise(model)
    expected = set(trainable_state(model))
    assert expected
    assert gradient_names(model) == expected


def tiny_llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2, use_cache=False,
        )
    ).eval()  # fmt: skip


def qwen2_5_half_billion():
    """The shape of Qwen2.5-0.5B without memory for it, on the meta device."""
    with torch.device("meta"):
        return Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
                num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True,
            )
        )  # fmt: skip


def count(model):
    """Trainable parameters."""
    return sum(tensor.numel() for tensor in trainable_state(model).values())
