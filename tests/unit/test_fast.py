"""The fast path computes what the plain path does: losses, gradients, whole runs."""

import copy
import json
from functools import partial
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AttentionInterface

import tiny_model
import tiny_study
from jadapt.errors import UserError
from jadapt.methods import registry
from jadapt.training import module as module_of_training
from jadapt.training.fast import attention, compiling, projections, recording
from jadapt.training.fast.cross_entropy import headless, linear_cross_entropy
from jadapt.training.fast.recording import Recorder

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
    for layer in compiling.layers(model):
        layer.compile(backend=backend)
    ids = torch.tensor([[1, 5, 9, 13]])
    torch.testing.assert_close(model(input_ids=ids).logits, plain(input_ids=ids).logits)
    # What enters the first layer needs no gradient, unlike what enters the others.
    assert len(seen) == 2


def losses(study, work, module, **settings):
    run = tiny_study.run(study, work, module, log_interval=1, **settings)
    run.train()
    run.publish()
    lines = [json.loads(line) for line in (work / "output/train.jsonl").read_text().splitlines()]
    return [line["training_loss"] for line in lines if "training_loss" in line]


@pytest.mark.parametrize("name", ["sft", "lora", "prefix_mlp", "gem", "ewc"])
def test_the_loss_curve_is_that_of_the_plain_path(name, study, module, tmp_path):
    """24 steps over two tasks, every step's loss within 1e-4 of the plain path's, relative."""
    settings = tiny_study.RUNS[name]
    plain = losses(study, tmp_path / "plain", module, **settings)
    fast = {"cross_entropy_chunk": 24, "fused_optimiser": True}
    quick = losses(study, tmp_path / "fast", module, **settings, fast=fast)
    assert len(plain) == 24
    assert quick == pytest.approx(plain, rel=1e-4)
    # Not one path under two names: sums in another order differ in the last digits.
    assert quick != plain


def test_compiled_layers_give_the_same_loss_curve(study, module, tmp_path):
    # Compiled code draws its dropout from other random numbers.
    lora = tiny_study.RUNS["lora"] | {"dropout": 0.0, "sequence": ["first"], "steps": 6}
    plain = losses(study, tmp_path / "plain", module, **lora)
    fast = {"compile_layers": True, "cross_entropy_chunk": 24, "deterministic": False}
    assert losses(study, tmp_path / "fast", module, **lora, fast=fast) == pytest.approx(
        plain, rel=1e-4
    )


def watch_attention(monkeypatch):
    """Return a list that gets, a call, whether attention was told boundaries of documents."""
    seen = []

    def spy(*arguments, boundaries=None, **options):
        seen.append(boundaries is not None)
        return attention.attend(*arguments, boundaries=boundaries, **options)

    # Restored after the test.
    monkeypatch.setitem(AttentionInterface._global_mapping, attention.IMPLEMENTATION, spy)
    return seen


def whole_rows(study, folder):
    """Write token files whose documents fill one row each."""
    for domain in tiny_study.DOMAINS:
        for split in ("train", "validation"):
            documents = [[5 + (i + j) % 50 for j in range(15)] for i in range(40)]
            tiny_study.write_tokens(folder / "tokens" / domain / split, documents)
    (folder / "model").symlink_to(study / "model")
    return folder


def test_rows_of_one_document_need_no_mask_and_others_keep_theirs(
    study, module, tmp_path, monkeypatch
):
    """The mask is what changes, not the loss; rows that hold several documents are left alone."""
    seen = watch_attention(monkeypatch)
    rows = whole_rows(study, tmp_path / "whole")
    options = {"sequence": ["first"], "steps": 6}
    flash = {"fast": {"flash_attention": True}}
    plain = losses(rows, tmp_path / "a", module, **options)
    assert not seen
    quick = losses(rows, tmp_path / "b", module, **options, **flash)
    assert seen and not any(seen)
    assert quick == pytest.approx(plain, rel=1e-4)
    seen.clear()
    packed = losses(study, tmp_path / "c", module, **options)
    assert losses(study, tmp_path / "d", module, **options, **flash) == packed
    assert not seen


def document_by_document(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale, **options):
    """What torch's kernel computes: causal attention within each document alone."""
    assert options["window_size"] == (-1, 0) and cu_seq_q is cu_seq_k
    parts = []
    for begin, end in pairwise(cu_seq_q.tolist()):
        assert 0 <= end - begin <= max_q
        if begin < end:
            heads = (t[begin:end].transpose(0, 1)[None] for t in (query, key, value))
            part = functional.scaled_dot_product_attention(
                *heads, is_causal=True, scale=scale, enable_gqa=True
            )
            parts.append(part[0].transpose(0, 1))
    return torch.cat(parts)


def test_packed_documents_are_kept_apart_by_the_kernel_as_by_the_mask(
    study, module, tmp_path, monkeypatch
):
    """With the kernel's work done a document at a time, as the kernel itself needs a GPU."""
    options = {"sequence": ["first"], "steps": 6}
    plain = losses(study, tmp_path / "a", module, **options)
    seen = watch_attention(monkeypatch)
    monkeypatch.setattr(attention, "has_kernel", lambda model, precision: True)
    monkeypatch.setattr(attention.varlen, "varlen_attn", document_by_document)
    options["fast"] = {"flash_attention": True}
    assert losses(study, tmp_path / "b", module, **options) == pytest.approx(plain, rel=1e-4)
    assert seen and all(seen)


def test_boundaries_are_where_positions_do_not_count_on():
    positions = torch.tensor([[0, 1, 2, 0, 1], [0, 0, 1, 2, 3], [3, 4, 0, 1, 2]])
    expected = [0, 3, 5, 6, 10, 12]
    assert attention.document_boundaries(positions).tolist() == [*expected, 15, 15, 15]
    whole = torch.arange(4).expand(2, 4)
    assert attention.one_document_each(whole) and not attention.one_document_each(positions)
    assert attention.document_boundaries(whole).tolist() == [0, 4, 8]


def test_attention_over_documents_refuses_what_it_does_not_compute():
    heads = torch.zeros(1, 2, 4, 8)
    for mask, keys in ((torch.zeros(1, 1, 4, 4), heads), (None, heads[:, :, :3])):
        with pytest.raises(ValueError, match="mask or keys from elsewhere"):
            attention.attend(torch.nn.Identity(), heads, keys, keys, mask)


def rerun(function):
    """Stand for a CUDA graph: a replay computes anew, into the same memory."""
    results = [None if r is None else r.detach().clone() for r in function()]

    @torch.enable_grad()
    def replay():
        for result, fresh in zip(results, function(), strict=True):
            if result is not None:
                result.copy_(fresh.detach())

    return results, replay


@pytest.mark.parametrize("name", ["sft", "lora", "prefix_mlp", "gem", "ewc"])
def test_a_recorded_step_gives_the_same_loss_curve(name, study, module, tmp_path, monkeypatch):
    """Two micro-batches a step, so that gradients are added up across replays."""
    settings = tiny_study.RUNS[name] | {"micro_batch_size": 1, "global_batch_size": 2}
    settings |= {"dropout": 0.0} if name == "lora" else {}
    fast = {"cross_entropy_chunk": 24}
    plain = losses(study, tmp_path / "plain", module, **settings, fast=fast)
    monkeypatch.setattr(module_of_training, "Recorder", partial(Recorder, capture=rerun))
    fast |= {"cuda_graphs": True}
    recorded = losses(study, tmp_path / "recorded", module, **settings, fast=fast)
    assert module._recorder is not None and len(module._recorder._recordings) == 1
    # The penalty's gradient is added in another place of the sum, and its pull is strong.
    assert recorded == pytest.approx(plain, rel=1e-4 if name == "ewc" else 1e-6)


def test_replays_of_several_shapes_add_up_their_gradients():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    unused = torch.nn.Parameter(torch.ones(1))
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    seen = []

    def compute(batch, power=1):
        seen.append(power)
        return (weight * batch["x"]).sum(0).pow(power).sum()

    recorder = Recorder(compute, [weight, unused, frozen], capture=rerun)
    batches = [torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 1.0], [1.0, 4.0]])]
    for x in (batches[0], batches[1], batches[0], batches[0]):
        (recorder({"x": x}) * 10).backward()
    assert weight.grad.tolist() == [10 * (1 + 6 + 1 + 1), 10 * (2 + 5 + 2 + 2)]
    assert unused.grad is None and frozen.grad is None
    # A step later the memory is used again.
    weight.grad = None
    recorder({"x": batches[1]}).backward()
    assert weight.grad.tolist() == [6, 5]
    # Kinds of batches are told apart; beyond a number of shapes nothing is recorded.
    assert recorder({"x": batches[0]}, power=2).item() == 4 + 36
    assert recorder({"x": batches[0]}, power=3).item() == 8 + 216
    for _ in range(2):
        weight.grad = None
        recorder({"x": batches[0]}, power=4).backward()
        assert weight.grad.tolist() == [4 * 8 * 1, 4 * 216 * 2]
    assert len(recorder._recordings) == recording.SHAPES


def test_den_changes_the_model_and_is_not_recorded(study, module, tmp_path):
    run = tiny_study.run(
        study, tmp_path, module, **tiny_study.RUNS["den"] | {"fast": {"cuda_graphs": True}}
    )
    run.train()
    assert module._recorder is None


def test_compiled_the_chunk_of_logits_gives_the_same_numbers():
    results = []
    for compiled in (False, True):
        hidden, weight, labels = inputs(torch.float32)
        loss = linear_cross_entropy(hidden, weight, labels, 8, compiled)
        loss.backward()
        results.append((loss.detach(), hidden.grad, weight.grad))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_smaller_activation_budget_computes_the_same(study, module, tmp_path):
    options = {"sequence": ["first"], "steps": 3}
    plain = losses(study, tmp_path / "plain", module, **options)
    options["fast"] = {"compile_layers": True, "activation_budget": 0.5, "deterministic": False}
    assert losses(study, tmp_path / "fast", module, **options) == pytest.approx(plain, rel=1e-4)
    assert torch._functorch.config.activation_memory_budget == 0.5


@pytest.mark.parametrize(
    ("name", "compiled"),
    [
        *((name, False) for name in ("sft", "lora", "lora_ewc", "prefix", "houlsby", "gem")),
        ("sft", True),
        ("lora", True),
    ],
)
def test_fused_projections_give_the_same_loss_curve(name, compiled, study, module, tmp_path):
    """24 steps over two tasks; the models that are written are the same too."""
    settings = tiny_study.RUNS[name] | ({"dropout": 0.0} if "lora" in name else {})
    plain = losses(study, tmp_path / "plain", module, **settings)
    fast = {"fuse_projections": True, "compile_layers": compiled, "deterministic": False}
    fused = losses(study, tmp_path / "fused", module, **settings, fast=fast)
    assert fused == pytest.approx(plain, rel=1e-4)
    first, second = (
        load_file(next((tmp_path / way / "output/models/second").glob("*.safetensors")))
        for way in ("plain", "fused")
    )
    assert first.keys() == second.keys()
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, rtol=1e-2, atol=2e-4)


def test_projections_are_fused_where_they_can_be():
    model = tiny_model.build(num_hidden_layers=2, attention_bias=True)
    plain = copy.deepcopy(model)
    names = list(model.state_dict())
    # Queries with keys and values, gate with up, in each layer.
    assert len(projections.fuse_projections(model)) == 4
    assert list(model.state_dict()) == names
    ids = torch.tensor([[1, 5, 9, 13]])
    for one in (model, plain):
        one(input_ids=ids, labels=ids).loss.backward()
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)
    layer = projections.layers(model)[0].self_attn
    assert layer.k_proj.group.given is None and layer.k_proj.group.later == ()
    # Asked for something else, a layer computes for itself.
    x = torch.randn(2, 32)
    layer.q_proj(torch.randn(2, 32))
    torch.testing.assert_close(layer.k_proj(x), plain.model.layers[0].self_attn.k_proj(x))


@pytest.mark.parametrize("name", ["sft", "lora"])
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
