"""The fast path computes what the plain path does: losses, gradients, whole runs."""

import copy

import pytest
import torch
from torch.nn import functional

import tiny_model
import tiny_study
from jadapt.core.errors import UserError
from jadapt.methods import registry
from jadapt.training.kernels import compiling
from jadapt.training.kernels.cross_entropy import headless, linear_cross_entropy

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 2e-2}


def inputs(dtype, rows=37, width=24, vocabulary=53):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, width, generator=generator).to(dtype).requires_grad_()
    weight = (torch.randn(vocabulary, width, generator=generator) / 4).to(dtype).requires_grad_()
    labels = torch.randint(0, vocabulary, (rows,), generator=generator)
    labels[::5] = -100
    return hidden, weight, labels


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("chunk", [1, 8, 37, 1000])
def test_loss_and_gradients_are_those_of_all_logits(dtype, chunk):
    hidden, weight, labels = inputs(dtype)
    loss = linear_cross_entropy(hidden, weight, labels, chunk)
    (loss * 3).backward()
    # Against the same numbers in double precision.
    exact = [tensor.detach().double().requires_grad_() for tensor in (hidden, weight)]
    expected = functional.cross_entropy(exact[0] @ exact[1].T, labels, ignore_index=-100)
    (expected * 3).backward()
    tolerance = TOLERANCE[dtype]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    for mine, theirs in zip((hidden, weight), exact, strict=True):
        assert mine.grad.dtype == dtype
        error = (mine.grad.double() - theirs.grad).abs().max()
        assert error < tolerance * theirs.grad.abs().max()


def test_under_autocast_the_products_are_in_bfloat16_and_gradients_in_float32():
    hidden, weight, labels = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(hidden, weight, labels, 8)
    loss.backward()
    plain = [tensor.detach().clone().requires_grad_() for tensor in (hidden, weight)]
    with torch.autocast("cpu", torch.bfloat16):
        expected = functional.cross_entropy(functional.linear(*plain), labels)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-2)
    for mine, theirs in zip((hidden, weight), plain, strict=True):
        assert mine.grad.dtype == torch.float32
        assert (mine.grad - theirs.grad).abs().max() < 2e-2 * theirs.grad.abs().max()


def test_float16_holds_the_gradients_of_improbable_tokens():
    # As the first step of 16-mixed has it: thousands of labels, tens of thousands of tokens, all of
    # them nearly as improbable as each other, and the first loss scale of torch.
    hidden, weight, _ = inputs(torch.float32, rows=2048, vocabulary=20011)
    labels = torch.randint(0, 20011, (2048,), generator=torch.Generator().manual_seed(1))
    scale = 2.0**16
    with torch.autocast("cpu", torch.float16):
        loss = linear_cross_entropy(hidden, weight, labels, 512)
    (loss * scale).backward()
    exact = [tensor.detach().clone().requires_grad_() for tensor in (hidden, weight)]
    expected = functional.cross_entropy(exact[0] @ exact[1].T, labels)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    for mine, theirs in zip((hidden, weight), exact, strict=True):
        error = (mine.grad / scale - theirs.grad).norm()
        assert error < 1e-2 * theirs.grad.norm()
    # Tokens that are no label: all of their gradient is what a small probability leaves.
    absent = torch.ones(20011, dtype=torch.bool)
    absent[labels] = False
    error = (weight.grad / scale - exact[1].grad)[absent].norm()
    assert error < 1e-2 * exact[1].grad[absent].norm()


def test_the_mean_is_exact_where_bfloat16_is_the_default_type():
    hidden, weight, labels = inputs(torch.float32, rows=301)
    expected = linear_cross_entropy(hidden, weight, labels, 64)
    torch.set_default_dtype(torch.bfloat16)
    try:
        loss = linear_cross_entropy(hidden, weight, labels, 64)
    finally:
        torch.set_default_dtype(torch.float32)
    assert loss.item() == expected.item()


def test_a_frozen_output_layer_gets_no_gradient_and_nothing_scored_is_no_loss():
    hidden, weight, labels = inputs(torch.float32)
    linear_cross_entropy(hidden, weight.requires_grad_(False), labels, 8).backward()
    assert weight.grad is None
    assert hidden.grad.abs().max() > 0
    hidden.grad = None
    loss = linear_cross_entropy(hidden, weight, torch.full_like(labels, -100), 8)
    loss.backward()
    assert loss.item() == 0
    assert hidden.grad.abs().max() == 0


def test_the_logits_never_exist_as_a_whole():
    hidden, weight, labels = inputs(torch.float32, rows=64, vocabulary=997)

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, operation, types, arguments=(), options=None):
            result = operation(*arguments, **(options or {}))
            if torch.is_tensor(result):
                Largest.size = max(Largest.size, result.numel())
            return result

    with Largest():
        linear_cross_entropy(hidden, weight, labels, 8).backward()
    assert weight.numel() <= Largest.size < 64 * 997 / 2


def test_without_its_head_a_model_returns_what_the_head_reads():
    model = tiny_model.build()
    ids = torch.tensor([[1, 5, 9, 13]])
    with headless(model) as head:
        hidden = model(input_ids=ids).logits
    assert hidden.shape == (1, 4, 32)
    torch.testing.assert_close(head(hidden), model(input_ids=ids).logits)
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(61))
    with pytest.raises(UserError, match="cross_entropy_chunk"), headless(model):
        pass


def test_layers_are_compiled_in_place():
    model = tiny_model.build()
    names = list(model.state_dict())
    twin = copy.deepcopy(model)
    seen = []
    torch._dynamo.reset()
    for layer in compiling.layers(model):
        layer.compile(backend=lambda graph, example: seen.append(graph) or graph.forward)
    ids = torch.tensor([[1, 5, 9, 13]])
    torch.testing.assert_close(model(input_ids=ids).logits, twin(input_ids=ids).logits)
    assert seen
    assert list(model.state_dict()) == names
    with pytest.raises(UserError, match="compile_layers: no decoder layers in Linear"):
        compiling.layers(torch.nn.Linear(2, 2))


def test_a_layer_is_compiled_once_for_all_that_are_alike():
    """NeMo gives each adapted linear layer a class of its own, for which all is compiled anew."""
    model = tiny_model.build(num_hidden_layers=5)
    registry.create("lora", tiny_study.RUNS["lora"]).apply(model)
    plain = copy.deepcopy(model)
    seen = []

    def backend(graph, example):
        seen.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiling.compile_layers(model)
    compiled = [module for module in model.modules() if module._compiled_call_impl is not None]
    assert compiled == [*compiling.layers(model), model.model.norm]
    for module in compiled:
        module.compile(backend=backend)
    ids = torch.tensor([[1, 5, 9, 13]])
    torch.testing.assert_close(model(input_ids=ids).logits, plain(input_ids=ids).logits)
    # What enters the first layer needs no gradient, unlike what enters the others; and the norm.
    assert len(seen) == 3


@pytest.mark.parametrize("name", ["sft", "lora", "prefix_mlp", "gem", "ewc"])
def test_the_loss_curve_is_that_of_the_plain_path(name, study, module, tmp_path):
    """24 steps over two tasks, every step's loss within 1e-4 of the plain path's, relative."""
    settings = tiny_study.RUNS[name]
    plain = tiny_study.losses(study, tmp_path / "plain", module, **settings)
    fast = {"cross_entropy_chunk": 24, "fused_optimiser": True}
    quick = tiny_study.losses(study, tmp_path / "fast", module, **settings, fast=fast)
    assert len(plain) == 24
    assert quick == pytest.approx(plain, rel=1e-4)
    # Not one path under two names: sums in another order differ in the last digits.
    assert quick != plain


def test_compiled_layers_give_the_same_loss_curve(study, module, tmp_path):
    # Compiled code draws its dropout from other random numbers.
    lora = tiny_study.RUNS["lora"] | {"dropout": 0.0, "sequence": ["first"], "steps": 6}
    plain = tiny_study.losses(study, tmp_path / "plain", module, **lora)
    fast = {"compile_layers": True, "cross_entropy_chunk": 24, "deterministic": False}
    assert tiny_study.losses(study, tmp_path / "fast", module, **lora, fast=fast) == pytest.approx(
        plain, rel=1e-4
    )


def test_a_smaller_activation_budget_computes_the_same(study, module, tmp_path):
    options = {"sequence": ["first"], "steps": 3}
    plain = tiny_study.losses(study, tmp_path / "plain", module, **options)
    options["fast"] = {"compile_layers": True, "activation_budget": 0.5, "deterministic": False}
    assert tiny_study.losses(study, tmp_path / "fast", module, **options) == pytest.approx(
        plain, rel=1e-4
    )
    assert torch._functorch.config.activation_memory_budget == 0.5
