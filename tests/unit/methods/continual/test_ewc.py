"""Quadratic penalties against sums by hand, finite differences and equal models."""

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_model
from ewc_example import (
    EWC_SETTINGS,
    ONLINE_SETTINGS,
    LowRankMethod,
    Scalars,
    by_hand,
    context_of,
    fisher_of,
    perturb,
    snapshot,
)
from jadapt.core.errors import UserError
from jadapt.methods.base import Method
from jadapt.methods.continual import ewc, quadratic


def test_two_terms_by_hand():
    """10/2 (2 (3-1)^2 + 1 (4-4)^2 + 3 (5-6)^2) + 10/2 (1 (3-2)^2) = 55 + 5 = 60."""
    model = Scalars(3.0, 4.0, 5.0)
    strategy = ewc.EWC({**EWC_SETTINGS, "strength": 10.0})
    strategy.load_state_dict(
        {
            "0/fisher/x": torch.tensor([2.0, 1.0]), "0/anchor/x": torch.tensor([1.0, 4.0]),
            "0/fisher/y": torch.tensor(3.0), "0/anchor/y": torch.tensor(6.0),
            "1/fisher/x": torch.tensor([1.0, 0.0]), "1/anchor/x": torch.tensor([2.0, 9.0]),
            "1/fisher/y": torch.tensor(0.0), "1/anchor/y": torch.tensor(0.0),
        }
    )  # fmt: skip
    penalty = strategy.penalty(context_of(model), {}, None)
    penalty.backward()
    assert penalty.item() == 60
    assert model.x.grad.tolist() == [10 * 2 * 2 + 10 * 1 * 1, 0]
    assert model.y.grad.item() == -10 * 3
    assert strategy.measures() == {"penalty": 60.0}


def test_nothing_noted_costs_nothing():
    for strategy in (ewc.L2({"strength": 1.0}), ewc.EWC(EWC_SETTINGS)):
        assert strategy.penalty(context_of(tiny_model.build()), {}, None) is None
        assert strategy.state_dict() == {}
        assert strategy.measures() == {"penalty": 0.0}


def test_ewc_sums_a_term_for_each_finished_task():
    model = tiny_model.build()
    strategy = ewc.EWC(EWC_SETTINGS)
    terms = []
    for seed, domain in enumerate(("english", "news", "novels")):
        terms.append((fisher_of(model, domain), snapshot(model)))
        strategy.end_task(context_of(model), domain)
        perturb(model, seed=seed)
    expected = by_hand(7.0, terms, snapshot(model))
    assert strategy.penalty(context_of(model), {}, None).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    assert expected > 1e-3


def test_online_ewc_decays_and_moves_its_anchor():
    model = tiny_model.build()
    strategy = ewc.OnlineEWC(ONLINE_SETTINGS)
    fishers = []
    for seed, domain in enumerate(("english", "news", "novels")):
        fishers.append(fisher_of(model, domain))
        anchor = snapshot(model)
        strategy.end_task(context_of(model), domain)
        perturb(model, seed=seed)
    first, second, third = fishers
    fisher = {name: 0.25**2 * first[name] + 0.25 * second[name] + third[name] for name in first}
    expected = by_hand(7.0, [(fisher, anchor)], snapshot(model))
    assert strategy.penalty(context_of(model), {}, None).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    assert len(strategy.state_dict()) == 2 * len(fisher) + 1


def test_l2_is_anchored_at_the_base_model_and_then_at_each_task():
    model = tiny_model.build()
    strategy = ewc.L2({"strength": 3.0})
    for seed, domain in enumerate(("english", "news")):
        anchor = snapshot(model)
        strategy.end_task(context_of(model), domain)
        assert strategy.penalty(context_of(model), {}, None).item() == 0
        perturb(model, seed=seed)
        ones = {name: torch.ones_like(tensor) for name, tensor in anchor.items()}
        expected = by_hand(3.0, [(ones, anchor)], snapshot(model))
        penalty = strategy.penalty(context_of(model), {}, None)
        assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("low_rank", [False, True])
def test_gradients_are_the_finite_differences(low_rank):
    """Along random directions; central differences of a quadratic are exact but for rounding, and
    of the quartic in two factors up to the square of the distance."""
    model = tiny_model.build()
    method = LowRankMethod({}) if low_rank else Method({})
    method.apply(model)
    context = context_of(model, method)
    strategy = ewc.EWC({**EWC_SETTINGS, "strength": 100.0})
    for seed, domain in enumerate(("english", "news")):
        strategy.end_task(context, domain)
        perturb(model, 0.2, seed)
    strategy.penalty(context, {}, None).backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    for seed in range(3):
        source = torch.Generator().manual_seed(seed)
        direction = [torch.randn(p.shape, generator=source) for p in trained]
        slope = sum((p.grad * d).sum() for p, d in zip(trained, direction, strict=True)).item()
        values = []
        for shift in (0.01, -0.02):
            with torch.no_grad():
                for parameter, part in zip(trained, direction, strict=True):
                    parameter.add_(part, alpha=shift)
            values.append(strategy.penalty(context, {}, None).item())
        with torch.no_grad():
            for parameter, part in zip(trained, direction, strict=True):
                parameter.add_(part, alpha=0.01)
        size = sum(p.grad.square().sum() for p in trained).sqrt().item()
        assert slope == pytest.approx((values[0] - values[1]) / 0.02, abs=0.01 * size)
        assert abs(slope) > 0.02 * size


def penalty_and_gradients(strategy, model, dtype=torch.float32):
    model.to(dtype)
    model.zero_grad()
    penalty = strategy.penalty(context_of(model), {}, None)
    penalty.backward()
    return penalty, [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("kind", [ewc.L2, ewc.EWC])
def test_how_much_is_computed_at_a_time_changes_nothing(kind, monkeypatch):
    model = tiny_model.build()
    strategy = kind(EWC_SETTINGS)
    for seed, domain in enumerate(("english", "news")):
        strategy.end_task(context_of(model), domain)
        perturb(model, seed=seed)
    together, expected = penalty_and_gradients(strategy, model)
    monkeypatch.setattr(quadratic, "ENTRIES", 1)
    apart, found = penalty_and_gradients(strategy, model)
    assert torch.equal(together, apart)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    _, rounded = penalty_and_gradients(strategy, model, torch.bfloat16)
    assert {gradient.dtype for gradient in rounded} == {torch.bfloat16}


def test_a_penalty_is_differentiated_once():
    """Its gradients are scaled in place."""
    model = Scalars(3.0, 4.0, 5.0)
    strategy = ewc.L2({"strength": 2.0})
    strategy.end_task(context_of(model), "english")
    perturb(model, seed=1)
    penalty = strategy.penalty(context_of(model), {}, None)
    penalty.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once only"):
        penalty.backward()


def factored(turn):
    """Penalties after two tasks, each change of the weights written as (B turn^-1) (turn A)."""
    model = tiny_model.build()
    method = LowRankMethod({})
    method.apply(model)
    context = context_of(model, method)
    strategies = [ewc.EWC(EWC_SETTINGS), ewc.L2({"strength": 2.0})]
    source = torch.Generator().manual_seed(0)
    for domain in ("english", "news"):
        for strategy in strategies:
            strategy.end_task(context, domain)
        with torch.no_grad():
            for pair in method.pairs(model).values():
                pair.a.copy_(turn @ torch.randn(pair.a.shape, generator=source))
                b = torch.randn(pair.b.shape, generator=source) / 4
                pair.b.copy_(b @ torch.linalg.inv(turn))
    return [strategy.penalty(context, {}, None).item() for strategy in strategies]


def test_equal_models_with_other_low_rank_factors_have_equal_penalties():
    same = factored(torch.eye(2))
    assert min(same) > 1e-4
    for turn in (torch.eye(2) * 8, torch.tensor([[2.0, 1.0], [-0.5, 3.0]])):
        assert factored(turn) == pytest.approx(same, rel=1e-4)


def test_the_fisher_of_a_low_rank_change_is_that_of_the_merged_weights():
    model = tiny_model.build()
    method = LowRankMethod({})
    method.apply(model)
    perturb(model, 0.3)
    strategy = ewc.EWC(EWC_SETTINGS)
    strategy.end_task(context_of(model, method), "english")
    state = strategy.state_dict()

    merged = tiny_model.build()
    with torch.no_grad():
        for name, pair in method.pairs(model).items():
            merged.get_submodule(name).weight.add_(pair.change())
    reference = fisher_of(merged, "english")
    for name in method.pairs(model):
        expected = reference[f"{name}.weight"].float()
        assert expected.max() > 1e-6
        torch.testing.assert_close(state[f"0/fisher/{name}"], expected, rtol=1e-3, atol=1e-7)
        change = method.pairs(model)[name].change()
        assert torch.equal(state[f"0/anchor/{name}"], change)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(ewc.L2, {"strength": 2.0}), (ewc.EWC, EWC_SETTINGS), (ewc.OnlineEWC, ONLINE_SETTINGS)],
)
def test_a_state_read_from_disk_goes_on_bit_by_bit(tmp_path, kind, settings):
    model = tiny_model.build()
    strategy = kind(settings)
    for seed, domain in enumerate(("english", "news")):
        strategy.end_task(context_of(model), domain)
        perturb(model, seed=seed)
    state = strategy.state_dict()
    terms = [tensor for name, tensor in state.items() if name != "error"]
    assert all(t.dtype == torch.float32 and not t.requires_grad for t in terms)
    save_file(state, tmp_path / "state.safetensors")
    again = kind(settings)
    again.load_state_dict(load_file(tmp_path / "state.safetensors"))

    for step in range(2):
        gradients = []
        for one in (strategy, again):
            model.zero_grad()
            penalty = one.penalty(context_of(model), {}, None)
            penalty.backward()
            gradients.append([penalty.detach(), *(p.grad.clone() for p in model.parameters())])
        assert all(map(torch.equal, *gradients))
        assert gradients[0][0] > 0
        if step == 0:
            for one in (strategy, again):
                one.end_task(context_of(model), "novels")
            perturb(model, seed=9)


def test_what_is_noted_does_not_move_with_the_model():
    model = tiny_model.build()
    strategy = ewc.L2({"strength": 2.0})
    strategy.end_task(context_of(model), "english")
    before = {name: tensor.clone() for name, tensor in strategy.state_dict().items()}
    perturb(model)
    assert all(torch.equal(tensor, before[n]) for n, tensor in strategy.state_dict().items())


def test_micro_batches_that_are_averaged_count_the_penalty_once():
    model = tiny_model.build()
    strategy = ewc.L2({"strength": 2.0})
    strategy.end_task(context_of(model), "english")
    perturb(model)
    strategy.penalty(context_of(model), {}, None).backward()
    once = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    for _ in range(4):
        (strategy.penalty(context_of(model), {}, None) / 4).backward()
    for parameter, gradient in zip(model.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_autocast_does_not_blur_a_low_rank_change():
    model = tiny_model.build()
    method = LowRankMethod({})
    method.apply(model)
    perturb(model)
    strategy = ewc.L2({"strength": 2.0})
    strategy.end_task(context_of(model, method), "english")
    with torch.autocast("cpu", torch.bfloat16):
        assert strategy.penalty(context_of(model, method), {}, None).item() == 0


def test_weights_in_half_precision_are_compared_in_float32():
    model = tiny_model.build().bfloat16()
    strategy = ewc.L2({"strength": 2.0})
    strategy.end_task(context_of(model), "english")
    anchor = snapshot(model)
    perturb(model)
    penalty = strategy.penalty(context_of(model), {}, None)
    penalty.backward()
    ones = {name: torch.ones_like(tensor) for name, tensor in anchor.items()}
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(
        by_hand(2.0, [(ones, anchor)], snapshot(model)).item(), rel=1e-5
    )
    assert all(p.grad.dtype == torch.bfloat16 for p in model.parameters())


RUN = {"steps": 8, "global_batch_size": 8, "sequence": ["news", "novels"]}


@pytest.mark.parametrize(
    ("kind", "settings", "key"),
    [(ewc.EWC, EWC_SETTINGS, "ewc"), (ewc.OnlineEWC, ONLINE_SETTINGS, "online_ewc")],
)
def test_more_fisher_rows_than_data_or_than_was_seen_are_refused(kind, settings, key):
    strategy = kind(settings)
    rows = {"english": 64, "news": 70, "novels": 64}
    strategy.check(rows, RUN)
    with pytest.raises(UserError, match=rf"continual\.{key}\.rows: 64 .* 63 .* 'news'; lower"):
        strategy.check(rows | {"news": 63}, RUN)
    with pytest.raises(UserError, match=rf"continual\.{key}\.rows: 64 is more than the 56 rows"):
        strategy.check(rows, RUN | {"steps": 7})


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({"rows": 63}, 63),
        ({"fisher": "sampled", "rows": 32}, 32),
        ({"fisher": "sampled", "rows": 130, "batch_rows": 4}, 32),
    ],
)
def test_an_estimate_that_is_mostly_noise_is_refused(change, count):
    with pytest.raises(UserError, match=rf"^batch_rows: {count} squared gradients"):
        ewc.EWC(EWC_SETTINGS | change)
    ewc.EWC(EWC_SETTINGS | {"fisher": "sampled", "rows": 128, "batch_rows": 4, "draws": 2})


def test_the_error_of_the_fisher_is_told_and_outlives_the_process():
    strategy = ewc.EWC(EWC_SETTINGS)
    strategy.end_task(context_of(tiny_model.build()), "english")
    error = strategy.measures()["fisher_relative_error"]
    assert 0.02 < error < 1
    again = ewc.EWC(EWC_SETTINGS)
    assert again.measures() == {"penalty": 0.0}
    again.load_state_dict(strategy.state_dict())
    assert again.measures()["fisher_relative_error"] == pytest.approx(error)
