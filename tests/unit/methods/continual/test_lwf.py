"""Distillation against a copy of the model, and against losses written out in numpy."""

import copy

import numpy as np
import pytest
import torch

import tiny_model
from adapting import applied, randomise
from ewc_example import batch_of, context_of, perturb
from jadapt.methods.base import Method
from jadapt.methods.continual.lwf import LwF
from jadapt.methods.outputs import Outputs
from jadapt.methods.peft.prefix import Prefix

SETTINGS = {"strength": 3.0, "temperature": 2.0}
BATCH = batch_of("news", 0, 3)


def logits_of(model, batch=BATCH):
    inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
    return model(**inputs).logits.flatten(0, 1)


def outputs_of(model, chunk=0, batch=BATCH):
    if not chunk:
        return Outputs.of(model, logits_of(model, batch), 0)
    inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
    hidden = model.base_model(**inputs).last_hidden_state.flatten(0, 1)
    return Outputs.of(model, hidden, chunk)


def by_hand(teacher, student, labels, strength=3.0, temperature=2.0):
    """strength T^2 KL(teacher || student), the mean over the scored tokens, in numpy."""

    def softmax(model):
        scores = logits_of(model).detach().double().numpy() / temperature
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        return shares / shares.sum(-1, keepdims=True)

    p, q = softmax(teacher), softmax(student)
    divergence = (p * (np.log(p) - np.log(q))).sum(-1)
    return strength * temperature**2 * divergence[labels.flatten().numpy() != -100].mean()


def begun(model, method=None, **changes):
    strategy = LwF(SETTINGS | changes)
    strategy.begin_task(context_of(model, method), ["english"], 1)
    return strategy


@pytest.mark.parametrize("chunk", [0, 5])
@pytest.mark.parametrize("tied", [True, False])
def test_the_penalty_is_the_divergence_from_the_model_before(chunk, tied):
    model = tiny_model.build(tie_word_embeddings=tied)
    strategy, teacher = begun(model), copy.deepcopy(model)
    assert strategy.penalty(context_of(model), BATCH, outputs_of(model, chunk)).item() == (
        pytest.approx(0, abs=1e-6)
    )
    perturb(model)
    batch = {**BATCH, "labels": BATCH["labels"].clone()}
    batch["labels"][0, :5] = -100
    found = strategy.penalty(context_of(model), batch, outputs_of(model, chunk))
    expected = by_hand(teacher, model, batch["labels"])
    assert found.item() == pytest.approx(expected, rel=1e-4)
    assert expected > 0.05
    assert strategy.measures() == {"penalty": found.item()}


def test_its_gradient_is_that_of_the_cross_entropy_with_softened_labels():
    """As Li and Hoiem write it; the entropy of the teacher has none."""
    model = tiny_model.build()
    strategy, teacher = begun(model), copy.deepcopy(model)
    perturb(model)
    strategy.penalty(context_of(model), BATCH, outputs_of(model)).backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    soft = (logits_of(teacher).detach() / 2).softmax(-1)
    loss = -(soft * (logits_of(model) / 2).log_softmax(-1)).sum(-1).mean()
    (3 * 2**2 * loss).backward()
    for one, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=1e-6)


def test_an_adapter_keeps_what_it_trains_alone():
    method = Prefix({"length": 3, "init_std": 0.5, "reparameterisation": 6})
    model = applied(method)
    strategy, teacher = begun(model, method), copy.deepcopy(model)
    assert set(strategy._before) == {n for n, p in model.named_parameters() if p.requires_grad}
    randomise(model, 1.0)
    found = strategy.penalty(context_of(model, method), BATCH, outputs_of(model))
    assert found.item() == pytest.approx(by_hand(teacher, model, BATCH["labels"]), rel=1e-4)


def test_the_teacher_drops_nothing_and_leaves_the_model_as_it_is():
    model = tiny_model.build().train()
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    strategy = begun(model)
    weights = [p.detach().clone() for p in model.parameters()]
    state = torch.get_rng_state()
    first, _ = strategy._taught(context_of(model, Method({})), BATCH)
    second, _ = strategy._taught(context_of(model, Method({})), BATCH)
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert all(map(torch.equal, weights, model.parameters()))
