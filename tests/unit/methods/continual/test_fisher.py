"""The Fisher diagonal against enumeration of all labels, closed forms and plain loops."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import tiny_model
from jadapt.methods.base import Method
from jadapt.methods.continual import fisher
from jadapt.methods.continual.gradients import generator
from jadapt.methods.strategy import Context
from jadapt.models import scratch


class SoftmaxRegression(nn.Module):
    """Logits W x, with x a fixed vector for each input token."""

    def __init__(self, inputs=6, features=3, classes=4):
        super().__init__()
        source = torch.Generator().manual_seed(3)
        self.register_buffer("features", torch.randn(inputs, features, generator=source))
        self.weight = nn.Parameter(torch.randn(classes, features, generator=source))

    def forward(self, input_ids, position_ids):
        return SimpleNamespace(logits=self.features[input_ids] @ self.weight.T)

    def closed_form(self, input_ids):
        """F for W_vi is the mean over tokens of p_v (1 - p_v) x_i^2."""
        x = self.features[input_ids.flatten()]
        p = (x @ self.weight.T).softmax(-1).detach()
        return torch.einsum("tv,ti->vi", p - p**2, x**2) / len(x)


def batch_of(shape, vocabulary=tiny_model.VOCABULARY, seed=0):
    source = torch.Generator().manual_seed(seed)
    drawn = torch.randint(vocabulary, (shape[0], shape[1] + 1), generator=source)
    positions = torch.arange(shape[1]).expand(shape[0], -1)
    return {"input_ids": drawn[:, :-1], "labels": drawn[:, 1:], "position_ids": positions}


def rows_of(batch, indices):
    return {name: tensor[indices] for name, tensor in batch.items()}


def leaves_of(model):
    return dict(model.named_parameters())


def log_probabilities(model, batch):
    logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
    return logits.log_softmax(-1)


def expectation_over_labels(monkeypatch, model, batch, vocabulary):
    """The exact expectation of the estimator: all labellings, each times its probability."""
    with torch.no_grad():
        logs = log_probabilities(model, batch)
    expected = None
    for labels in itertools.product(range(vocabulary), repeat=batch["labels"].numel()):
        labels = torch.tensor(labels).view(batch["labels"].shape)
        probability = logs.gather(-1, labels[..., None]).sum().exp()
        monkeypatch.setattr(fisher, "_sample", lambda *_, given=labels: given[None])
        one = fisher.true_fisher(model, leaves_of(model), [batch], 1, torch.Generator()).diagonal
        part = {name: probability * tensor for name, tensor in one.items()}
        expected = part if expected is None else {k: expected[k] + part[k] for k in part}
    return expected


def test_its_expectation_is_the_closed_form_of_softmax_regression(monkeypatch):
    model = SoftmaxRegression()
    batch = batch_of((2, 2), 6)
    found = expectation_over_labels(monkeypatch, model, batch, 4)["weight"]
    torch.testing.assert_close(found, model.closed_form(batch["input_ids"]), rtol=1e-4, atol=1e-6)


def test_its_expectation_is_that_of_per_token_gradients_of_a_transformer(monkeypatch):
    """The definition: for each token, all labels, squared gradient of that one log-probability."""
    torch.manual_seed(0)
    model = scratch.build(
        {**tiny_model.SETTINGS, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1},
        4,
        tiny_model.SPECIAL_IDS,
    ).eval()
    batch = batch_of((1, 3), 4)
    leaves = leaves_of(model)
    reference = {name: torch.zeros_like(p) for name, p in leaves.items()}
    for token, label in itertools.product(range(3), range(4)):
        log = log_probabilities(model, batch)[0, token, label]
        for name, gradient in zip(
            leaves, torch.autograd.grad(log, list(leaves.values())), strict=True
        ):
            reference[name] += log.exp().detach() * gradient**2 / 3
    found = expectation_over_labels(monkeypatch, model, batch, 4)
    assert set(found) == set(reference)
    assert "lm_head.weight" not in found  # tied to the embedding, which counts once
    for name, tensor in reference.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-6, msg=name)


def test_sampled_labels_follow_the_model():
    """The estimate over many draws, within its own standard error of the closed form."""
    model = SoftmaxRegression()
    batch = batch_of((4, 16), 6)
    draws = 3000
    found = fisher.true_fisher(model, leaves_of(model), [batch], draws, generator("cpu", 1))
    ratio = found.diagonal["weight"] / model.closed_form(batch["input_ids"])
    error = (2 / draws) ** 0.5
    assert (ratio - 1).abs().max() < 5 * error
    assert ratio.std() > 0.1 * error  # and is no closed form itself


def test_unscored_tokens_count_neither_above_nor_below():
    model = SoftmaxRegression()
    batch = batch_of((1, 8), 6)
    batch["labels"] = batch["labels"].clone()
    batch["labels"][0, 3:] = fisher.IGNORED
    found = fisher.true_fisher(model, leaves_of(model), [batch], 3000, generator("cpu", 2))
    found = found.diagonal
    expected = model.closed_form(batch["input_ids"][:, :3])
    torch.testing.assert_close(found["weight"], expected, rtol=0.2, atol=0)


def test_empirical_is_the_plain_loop_over_rows_however_they_are_batched():
    model = tiny_model.build()
    batch = batch_of((4, 7))
    model.zero_grad()
    reference = {name: torch.zeros_like(p) for name, p in leaves_of(model).items()}
    for row in range(4):
        one = rows_of(batch, [row])
        logs = log_probabilities(model, one)
        (-logs.gather(-1, one["labels"][..., None]).sum()).backward()
        for name, parameter in model.named_parameters():
            reference[name] += parameter.grad**2 / 28
        model.zero_grad()
    for split in ([[0, 1, 2, 3]], [[0], [1, 2, 3]]):
        batches = [rows_of(batch, indices) for indices in split]
        found = fisher.empirical_fisher(model, leaves_of(model), batches).diagonal
        for name, tensor in reference.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-7, msg=name)


def context_of(model, method, batch_size=2, seed=1, reduce=lambda tensor: tensor):
    asked = []

    def rows(domain, first, count):
        asked.append((domain, first, count))
        everything = batch_of((16, 7), seed=len(domain))
        return rows_of(everything, list(range(first, first + count)))

    context = Context(model, method, rows, lambda batch: None, reduce, batch_size, seed)
    return context, asked


@pytest.mark.parametrize("kind", ["sampled", "empirical"])
def test_an_estimate_leaves_no_trace(kind):
    """Modes, flags, gradients and the global random numbers are as before; dropout is off."""
    model = tiny_model.build()
    model.config.attention_dropout = 0.5
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    model.train()
    model.model.layers[1].eval()
    frozen = model.model.layers[0].self_attn.q_proj.weight
    frozen.requires_grad_(False)

    class Frozen(Method):
        def weight_delta_leaves(self, model):
            return {"q": frozen}

    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    context, _ = context_of(model, Frozen({}))
    first = fisher.estimate(context, "english", kind, 3, 2).diagonal
    torch.manual_seed(99)  # another global state must not change the estimate, nor be changed
    before = torch.get_rng_state()
    second = fisher.estimate(context, "english", kind, 3, 2).diagonal
    assert torch.equal(torch.get_rng_state(), before)

    assert torch.equal(first["q"], second["q"])
    assert first["q"].max() > 0
    assert not first["q"].requires_grad
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())


def test_flags_and_modes_come_back_after_a_failure():
    model = tiny_model.build().train()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(KeyError):
        fisher.empirical_fisher(model, leaves_of(model), [{"input_ids": torch.ones(1, 2)}])
    assert model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_labels_are_drawn_afresh_for_seed_and_task_only():
    model = tiny_model.build()

    def total(seed, domain):
        context, _ = context_of(model, Method({}), seed=seed)
        # Domains of one length give the same rows.
        found = fisher.estimate(context, domain, "sampled", 4, 1)
        return found.diagonal["model.norm.weight"]

    assert torch.equal(total(1, "aaa"), total(1, "aaa"))
    assert not torch.equal(total(1, "aaa"), total(2, "aaa"))
    assert not torch.equal(total(1, "aaa"), total(1, "bbb"))


@pytest.mark.parametrize("kind", ["sampled", "empirical"])
def test_the_estimate_does_not_depend_on_the_micro_batch(kind):
    found, model = [], tiny_model.build()
    for batch_size in (1, 4, 32):
        context, asked = context_of(model, Method({}), batch_size=batch_size)
        found.append(fisher.estimate(context, "english", kind, 7, 2, 3))
        assert asked == [("english", 0, 3), ("english", 3, 3), ("english", 6, 1)]
    for other in found[1:]:
        assert other.relative_error == found[0].relative_error
        for name, tensor in found[0].diagonal.items():
            assert torch.equal(other.diagonal[name], tensor)


def relative_errors(model, vocabulary, exact, rows, batch_rows, seeds):
    """Measured and true relative errors of estimates on as many rows, the means over seeds."""
    measured, true = [], []
    for seed in range(seeds):
        batch = batch_of((rows, 12), vocabulary, seed)
        # One row of inputs again and again: what differs are the labels alone.
        inputs = batch["input_ids"][:1].expand(batch_rows, -1)
        batches = [
            {
                "input_ids": inputs,
                "labels": batch["labels"][first : first + batch_rows],
                "position_ids": batch["position_ids"][first : first + batch_rows],
            }
            for first in range(0, rows, batch_rows)
        ]
        found = fisher.true_fisher(model, leaves_of(model), batches, 1, generator("cpu", seed))
        ratio = found.diagonal["weight"] / exact(inputs)
        measured.append(found.relative_error)
        true.append((ratio - 1).square().mean().sqrt().item())
    return sum(measured) / seeds, sum(true) / seeds


def test_the_error_falls_with_the_root_of_the_batches_and_is_measured():
    """Against the closed form; whatever the number of rows that a squared gradient sums over."""
    model = SoftmaxRegression()
    for batch_rows in (1, 4):
        for count in (16, 64, 256):
            measured, true = relative_errors(
                model, 6, model.closed_form, count * batch_rows, batch_rows, 12
            )
            expected = (2 / count) ** 0.5
            assert true == pytest.approx(expected, rel=0.3), (batch_rows, count)
            assert measured == pytest.approx(true, rel=0.2), (batch_rows, count)


def test_halves_that_have_nothing_in_common_have_an_error_of_one():
    """Every second row meets another half of the inputs, and so of the embedding."""
    model = tiny_model.build(tie_word_embeddings=False)
    batch = batch_of((2, 7), 20)
    batch["input_ids"] = batch["input_ids"].clone()
    batch["input_ids"][1] += 20
    leaf = {"embedding": model.get_input_embeddings().weight}
    found = fisher.empirical_fisher(model, leaf, [batch])
    assert found.relative_error == 1
    again = {name: tensor[:1].expand(2, -1) for name, tensor in batch.items()}
    assert fisher.empirical_fisher(model, leaf, [again]).relative_error == 0


def test_the_estimate_is_averaged_over_devices():
    model = tiny_model.build()
    plain, _ = context_of(model, Method({}))
    halved, _ = context_of(model, Method({}), reduce=lambda tensor: tensor / 2)
    whole = fisher.estimate(plain, "english", "empirical", 2, 1).diagonal
    half = fisher.estimate(halved, "english", "empirical", 2, 1).diagonal
    for name, tensor in whole.items():
        torch.testing.assert_close(half[name], tensor / 2)


def test_it_accumulates_in_float32_for_a_model_in_half_precision():
    """Squares of gradients below 2^-12 would vanish in fp16, and few bits would be left in bf16."""
    model = tiny_model.build()
    batch = batch_of((2, 7))
    single = fisher.empirical_fisher(model, leaves_of(model), [batch]).diagonal
    half = fisher.empirical_fisher(model.bfloat16(), leaves_of(model), [batch]).diagonal
    assert all(tensor.dtype == torch.float32 for tensor in half.values())
    for name, tensor in single.items():
        assert half[name].sum() == pytest.approx(tensor.sum(), rel=0.15), name


def test_small_gradients_in_fp16_have_squares():
    """Gradients near 1e-4 exist in fp16, their squares (the smallest number is 6e-8) do not."""
    model = SoftmaxRegression()
    model.features *= 1e-4
    batch = batch_of((2, 8), 4)
    single = fisher.empirical_fisher(model, leaves_of(model), [batch]).diagonal["weight"]
    half = fisher.empirical_fisher(model.half(), leaves_of(model), [batch]).diagonal["weight"]
    assert 0 < single.max() < 1e-7
    torch.testing.assert_close(half, single, rtol=0.05, atol=1e-11)
