"""Interpolation after a task: full weights as means, low-rank updates by their products."""

import copy

import pytest
import torch

import tiny_model
from adapting import ALL_LINEAR, applied, logits, randomise
from ewc_example import context_of
from jadapt.methods.continual.wise import WiSE
from jadapt.methods.full import SFT
from jadapt.methods.peft.lora import LoRA

LORA = {
    "rank": 3, "alpha": 6, "dropout": 0.0, "target_modules": ALL_LINEAR, "a_init": "kaiming",
}  # fmt: skip


def finished(model, method, share, change):
    """Begin a task, change the model, finish it; return the strategy and the model in between."""
    strategy = WiSE({"share": share})
    context = context_of(model, method)
    strategy.begin_task(context, ["english"], 1)
    change(model)
    trained = copy.deepcopy(model)
    strategy.finish_task(context)
    return strategy, trained


def changes_of(method, model):
    return {name: t.detach().clone() for name, t in method.weight_delta(model).items()}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_full_weights_are_means_of_before_and_after(share):
    model, method = tiny_model.build(), SFT({})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    strategy, trained = finished(model, method, share, randomise)
    after = dict(trained.named_parameters())
    for name, parameter in model.named_parameters():
        expected = before[name].double() + share * (after[name].double() - before[name].double())
        torch.testing.assert_close(parameter.double(), expected, atol=1e-6, rtol=1e-6)
    assert strategy.measures() == {"left_out": 0.0}


def test_a_first_update_of_lora_is_scaled():
    method = LoRA(LORA)
    model = applied(method)
    start = {n: p.detach().clone() for n, p in model.named_parameters() if ".lora_a." in n}

    def train(model):
        randomise(model)

    strategy, trained = finished(model, method, 0.3, train)
    assert start
    whole = changes_of(method, trained)
    for name, change in changes_of(method, model).items():
        torch.testing.assert_close(change, 0.3 * whole[name])
    assert strategy.measures() == {"left_out": 0.0}


@pytest.mark.parametrize("a_init", ["kaiming", "pissa"])
def test_a_later_update_is_the_nearest_of_its_rank(a_init):
    method = LoRA(LORA | {"a_init": a_init})
    model = applied(method)
    randomise(model, seed=1)
    before = changes_of(method, model)
    strategy, trained = finished(model, method, 0.4, lambda model: randomise(model, seed=2))
    lost = whole = 0.0
    after = changes_of(method, trained)
    for name, change in changes_of(method, model).items():
        wanted = before[name] + 0.4 * (after[name] - before[name])
        u, s, v = torch.linalg.svd(wanted.double())
        nearest = u[:, :3] * s[:3] @ v[:3]
        torch.testing.assert_close(change.double(), nearest, atol=1e-5, rtol=1e-4)
        lost += s[3:].square().sum()
        whole += (0.4 * (after[name] - before[name])).double().square().sum()
    assert strategy.measures()["left_out"] == pytest.approx((lost / whole).sqrt().item(), rel=1e-3)


def test_an_update_within_the_same_directions_loses_nothing():
    method = LoRA(LORA)
    model = applied(method)
    randomise(model)
    before = changes_of(method, model)

    def train(model):
        for name, parameter in model.named_parameters():
            if ".lora_b." in name:
                parameter.data *= 3

    strategy, _ = finished(model, method, 0.5, train)
    for name, change in changes_of(method, model).items():
        torch.testing.assert_close(change, 2 * before[name], atol=1e-5, rtol=1e-4)
    assert strategy.measures()["left_out"] < 1e-5


def test_embeddings_that_train_along_are_means():
    method = LoRA(LORA | {"train_embeddings": True})
    model = applied(method)
    before = model.model.embed_tokens.weight.detach().clone()
    _, trained = finished(model, method, 0.5, randomise)
    expected = (before + trained.model.embed_tokens.weight) / 2
    torch.testing.assert_close(model.model.embed_tokens.weight, expected)


def test_all_of_a_change_is_what_was_trained():
    method = LoRA(LORA)
    model = applied(method)
    randomise(model)
    _, trained = finished(model, method, 1.0, lambda model: randomise(model, seed=4))
    assert torch.equal(logits(model), logits(trained))


def test_what_was_left_out_outlives_the_process():
    strategy, _ = finished(tiny_model.build(), SFT({}), 0.5, randomise)
    again = WiSE({"share": 0.5})
    assert again.measures() == {}
    again.load_state_dict(strategy.state_dict())
    assert again.measures() == strategy.measures()
