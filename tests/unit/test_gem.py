"""Gradient projections against other solvers, their optimality conditions and equal cases."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls
from torch.nn import functional

import tiny_model
from jadapt.errors import UserError
from jadapt.methods import gem
from jadapt.methods.base import Method
from jadapt.methods.strategy import Context

GEM_SETTINGS = {"memory_rows": 6, "batch_rows": 4, "margin": 0.0}
AGEM_SETTINGS = {"memory_rows": 6, "batch_rows": 4}


def instance(seed, count, size, correlation=0.0):
    """A gradient and memories; with a correlation they share a direction, g has its opposite."""
    source = np.random.default_rng(seed)
    shared = source.normal(size=size)
    memories = source.normal(size=(count, size)) + correlation * shared
    gradient = source.normal(size=size) - correlation * shared
    return torch.tensor(gradient).float(), torch.tensor(memories).float()


instances = st.builds(
    instance,
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    size=st.integers(2, 40),
    correlation=st.floats(0, 2),
)


def violated_instance(seed=0, count=3, size=20):
    gradient, memories = instance(seed, count, size, 1.0)
    assert (memories @ gradient).min() < 0
    return gradient, memories


def by_nnls(gradient, memories, margin):
    """v = margin + u: the u >= 0 that minimises |M'u + g + margin * sum_k g_k|."""
    g, m = gradient.double().numpy(), memories.double().numpy()
    moved = g + margin * m.sum(0)
    return moved + m.T @ nnls(m.T, -moved)[0]


def cosine_bound(projected, gradient, memories):
    """The smallest g~.g_k, in units of |g| |g_k|."""
    products = memories.double() @ projected.double()
    return (products / memories.double().norm(dim=1) / gradient.double().norm()).min().item()


# --- the projections ---


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(20))
def test_gem_is_the_solution_of_another_solver(seed, margin):
    gradient, memories = violated_instance(seed, count=1 + seed % 5)
    found = gem.project_gem(gradient, memories, margin)
    expected = torch.tensor(by_nnls(gradient, memories, margin))
    torch.testing.assert_close(found.gradient.double(), expected, rtol=0, atol=1e-5)
    assert found.violated == (memories @ gradient < 0).sum()
    ratio = expected.norm() / gradient.norm()
    assert found.norm_ratio == pytest.approx(ratio.item(), abs=1e-5)


def test_gem_is_the_nearest_gradient_that_meets_the_constraints():
    """The primal problem, by sequential quadratic programming."""
    gradient, memories = violated_instance(3)
    g, m = gradient.double().numpy(), memories.double().numpy()
    primal = minimize(
        lambda x: ((x - g) ** 2).sum() / 2,
        np.zeros_like(g),
        jac=lambda x: x - g,
        constraints={"type": "ineq", "fun": lambda x: m @ x, "jac": lambda x: m},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = gem.project_gem(gradient, memories, 0.0).gradient
    np.testing.assert_allclose(found.numpy(), primal.x, atol=1e-4)


@settings(max_examples=150, deadline=None)
@given(instances)
def test_no_memory_is_interfered_with_and_the_step_is_optimal(case):
    """Feasible; what was added is a non-negative combination of memories; and, by complementary
    slackness, orthogonal to the result: the conditions of Karush, Kuhn and Tucker."""
    gradient, memories = case
    found = gem.project_gem(gradient, memories, 0.0).gradient
    assert cosine_bound(found, gradient, memories) > -1e-6
    added = (found - gradient).double()
    size = gradient.double().norm()
    assert abs((added @ found.double()).item()) < 1e-6 * size**2
    rest = nnls(memories.double().numpy().T, added.numpy())[1]
    assert rest < 1e-6 * size


@settings(max_examples=100, deadline=None)
@given(instances, st.floats(0, 1))
def test_nothing_changes_without_a_violation(case, margin):
    gradient, memories = case
    signs = torch.sign(memories.double() @ gradient.double())
    memories = memories * signs[:, None].float()  # now g.g_k >= 0 for all k
    before = gradient.clone()
    found = gem.project_gem(gradient, memories, margin)
    assert found.gradient is gradient
    assert torch.equal(gradient, before)
    assert (found.violated, found.norm_ratio) == (0, 1.0)
    assert gem.project_agem(gradient, memories[0]).gradient is gradient


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_one_memory_without_margin_is_agem(seed, size):
    gradient, memories = instance(seed, 1, size, 1.0)
    by_gem, by_agem = (
        gem.project_gem(gradient, memories, 0.0),
        gem.project_agem(gradient, memories[0]),
    )
    tolerance = 1e-6 * gradient.norm().item()
    torch.testing.assert_close(by_gem.gradient, by_agem.gradient, rtol=0, atol=tolerance)
    assert by_gem[1:] == pytest.approx(by_agem[1:], abs=1e-6)


def test_the_sign_by_hand():
    """g = (1, -1) would raise the loss whose gradient is (0, 2); only its second entry must go.

    With the sign of the constraint reversed the result would be (1, -2): twice the interference.
    """
    gradient, memory = torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0])
    for found in (
        gem.project_gem(gradient, memory[None], 0.0),
        gem.project_agem(gradient, memory),
    ):
        assert found.gradient.tolist() == pytest.approx([1, 0], abs=1e-6)
        assert found.violated == 1
        assert found.cosine == pytest.approx(-(0.5**0.5))
        assert found.norm_ratio == pytest.approx(0.5**0.5)


@settings(max_examples=50, deadline=None)
@given(instances)
def test_a_small_step_raises_no_memory_loss(case):
    """The sign by its meaning: for losses g_k.x, descending along g~ raises none of them."""
    gradient, memories = case
    step = -0.1 * gem.project_gem(gradient, memories, 0.0).gradient.double()
    scale = memories.double().norm(dim=1) * gradient.double().norm()
    assert ((memories.double() @ step) / scale).max() < 1e-6


def test_a_margin_adds_at_least_its_share_of_each_memory():
    """By hand: orthogonal memories (0, 2, 0) and (0, 0, 4), g violates the first by v = 1/2 only.

    Margin 0.75 then binds on both: g~ = g + 0.75 (0, 2, 0) + 0.75 (0, 0, 4).
    """
    gradient = torch.tensor([1.0, -1.0, 1.0])
    memories = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 4.0]])
    without = gem.project_gem(gradient, memories, 0.0).gradient
    assert without.tolist() == pytest.approx([1, 0, 1], abs=1e-6)
    found = gem.project_gem(gradient, memories, 0.75).gradient
    assert found.tolist() == pytest.approx([1, 0.5, 4], abs=1e-6)


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_a_common_scale_of_all_gradients_is_carried_through(scale, margin):
    gradient, memories = violated_instance()
    plain = gem.project_gem(gradient, memories, margin)
    scaled = gem.project_gem(gradient * scale, memories * scale, margin)
    torch.testing.assert_close(scaled.gradient / scale, plain.gradient, rtol=1e-4, atol=1e-5)
    assert scaled[1:] == pytest.approx(plain[1:], rel=1e-5)


def test_the_scale_of_a_memory_matters_for_the_margin_alone():
    gradient, memories = violated_instance()
    scales = torch.tensor([1e-6, 1.0, 1e6])[:, None]
    plain = gem.project_gem(gradient, memories, 0.0).gradient
    scaled = gem.project_gem(gradient, memories * scales, 0.0).gradient
    torch.testing.assert_close(scaled, plain, rtol=0, atol=1e-5)
    small = gem.project_gem(gradient, memories, 0.5).gradient
    large = gem.project_gem(gradient, memories * 10, 0.5).gradient
    assert (large - gradient).norm() > 5 * (small - gradient).norm()


def test_parallel_opposed_and_empty_memories():
    gradient, memories = violated_instance(count=1)
    m = memories[0]
    once = gem.project_gem(gradient, memories, 0.0).gradient
    for degenerate in (
        torch.stack([m, m]),
        torch.stack([m, 3 * m, torch.zeros_like(m)]),
        torch.stack([m, -m]),  # both at once: nothing along m, which is what m alone leaves too
    ):
        found = gem.project_gem(gradient, degenerate, 0.0)
        torch.testing.assert_close(found.gradient, once, rtol=0, atol=1e-5)
        assert found.violated >= 1
    assert gem.project_gem(gradient, memories * 0, 0.5).gradient is gradient
    assert gem.project_agem(gradient, m * 0).gradient is gradient
    nothing = torch.zeros_like(gradient)
    assert gem.project_gem(nothing, memories, 0.5).gradient is nothing
    assert gem.project_agem(nothing, m).gradient is nothing


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_overflow_is_left_for_the_loss_scaler(bad):
    gradient, memories = violated_instance()
    gradient[3] = bad
    assert gem.project_gem(gradient, memories, 0.5).gradient is gradient
    assert gem.project_agem(gradient, memories[0]).gradient is gradient


def test_long_vectors_are_summed_in_pieces(monkeypatch):
    gradient, memories = violated_instance()
    whole = gem.project_gem(gradient, memories, 0.5)
    monkeypatch.setattr(gem, "CHUNK", 7)
    pieces = gem.project_gem(gradient, memories, 0.5)
    torch.testing.assert_close(pieces.gradient, whole.gradient)


# --- the strategies ---


def loss_of(model, batch):
    logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
    return functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())


def rows_of(domain, first, count):
    source = torch.Generator().manual_seed(sum(map(ord, domain)))
    drawn = torch.randint(tiny_model.VOCABULARY, (6, 9), generator=source)[first : first + count]
    positions = torch.arange(8).expand(len(drawn), -1)
    return {"input_ids": drawn[:, :-1], "labels": drawn[:, 1:], "position_ids": positions}


def context_of(model, seed=0, rows=rows_of, reduce=lambda tensor: tensor):
    return Context(
        model=model, method=Method({}), rows=rows, loss=lambda batch: loss_of(model, batch),
        reduce=reduce, batch_size=4, seed=seed,
    )  # fmt: skip


def flat_gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def memory_gradients(model, domains):
    """The gradient on each whole memory, by an ordinary backward pass of a copy."""
    found = []
    for domain in domains:
        other = copy.deepcopy(model).eval()
        other.zero_grad()
        loss_of(other, rows_of(domain, 0, 6)).backward()
        found.append(flat_gradient(other))
    return torch.stack(found)


def interfering(frozen=False):
    """A model in training mode whose ``.grad`` would raise the loss on both memories."""
    model = tiny_model.build().train()
    if frozen:
        model.model.embed_tokens.weight.requires_grad_(False)
    loss_of(model, rows_of("task", 0, 6)).backward()
    memories = memory_gradients(model, ("english", "news"))
    start = 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            part = memories.sum(0)[start : start + parameter.numel()].view(parameter.shape)
            parameter.grad.sub_(part)
            start += parameter.numel()
    assert (memories @ flat_gradient(model)).max() < 0
    return model, memories


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_gem_projects_the_gradient_of_a_model(margin, frozen):
    model, memories = interfering(frozen)
    gradient = flat_gradient(model)
    strategy = gem.GEM({"memory_rows": 6, "batch_rows": 6, "margin": margin})
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model), 1)
    found = flat_gradient(model)
    assert cosine_bound(found, gradient, memories) > -1e-5
    torch.testing.assert_close(
        found.double(), torch.tensor(by_nnls(gradient, memories, margin)), rtol=1e-3, atol=1e-4
    )
    measures = strategy.measures()
    assert measures["violated_constraints"] == 2
    assert measures["smallest_memory_cosine"] == pytest.approx(
        cosine_bound(gradient, gradient, memories), rel=1e-3
    )
    ratio = (found.norm() / gradient.norm()).item()
    assert measures["projected_norm_ratio"] == pytest.approx(ratio, rel=1e-4)
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_agem_is_gem_with_the_mean_of_the_memories():
    model, memories = interfering()
    gradient = flat_gradient(model)
    mean = memories.mean(0, keepdim=True)
    expected = gem.project_gem(gradient, mean, 0.0).gradient
    strategy = gem.AGEM({"memory_rows": 6, "batch_rows": 12})  # both memories, whole
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model), 1)
    found = flat_gradient(model)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    assert cosine_bound(found, gradient, mean) > -1e-5
    assert strategy.measures()["violated_constraints"] == 1


@pytest.mark.parametrize("strategy", [gem.GEM(GEM_SETTINGS), gem.AGEM(AGEM_SETTINGS)])
def test_a_gradient_without_violation_is_bit_identical(strategy):
    """The gradient on the memory itself, and a first task with nothing before it."""
    model = tiny_model.build()
    loss_of(model, rows_of("english", 0, 6)).backward()
    before = flat_gradient(model)
    strategy.begin_task(context_of(model), [], 0)
    strategy.project(context_of(model), 1)
    assert torch.equal(flat_gradient(model), before)
    assert strategy.measures() == {}
    strategy.begin_task(context_of(model), ["english"], 1)
    strategy.project(context_of(model), 1)
    assert torch.equal(flat_gradient(model), before)
    assert strategy.measures()["violated_constraints"] == 0
    assert strategy.measures()["smallest_memory_cosine"] > 0


def test_a_parameter_without_gradient_takes_part():
    model, memories = interfering()
    model.model.norm.weight.grad = None
    strategy = gem.GEM({"memory_rows": 6, "batch_rows": 6, "margin": 0.5})
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model), 1)
    assert model.model.norm.weight.grad.abs().sum() > 0
    gradient = flat_gradient(model)
    assert cosine_bound(gradient, gradient, memories) > -1e-5


def test_projecting_draws_no_global_random_numbers_and_restores_modes():
    model, _ = interfering()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    strategy = gem.GEM(GEM_SETTINGS)
    strategy.begin_task(context_of(model), ["english"], 1)
    with torch.no_grad():  # as within an optimiser's step
        strategy.project(context_of(model), 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert strategy.measures()["violated_constraints"] == 1


def test_memory_gradients_are_averaged_over_devices_at_once():
    model, _ = interfering()
    shapes = []

    def reduce(tensor):
        shapes.append(tuple(tensor.shape))
        return -tensor

    strategy = gem.GEM(GEM_SETTINGS)
    strategy.begin_task(context_of(model), ["english", "news"], 2)
    strategy.project(context_of(model, reduce=reduce), 1)
    assert shapes == [(2, flat_gradient(model).numel())]
    assert strategy.measures()["violated_constraints"] == 0


def rows_asked(strategy, steps, seed=0, index=2, earlier=("english", "news")):
    """The rows that each step reads, as (domain, row)."""
    model = tiny_model.build()
    loss_of(model, rows_of("task", 0, 1)).backward()
    asked = []

    def rows(domain, first, count):
        asked.append((domain, first))
        assert count == 1
        return rows_of(domain, first, count)

    strategy.begin_task(context_of(model), earlier, index)
    found = []
    for step in steps:
        strategy.project(context_of(model, seed, rows), step)
        found.append(list(asked))
        asked.clear()
    return found


def test_gem_goes_round_each_memory():
    strategy = gem.GEM({**GEM_SETTINGS, "batch_rows": 2})
    steps = rows_asked(strategy, [1, 2, 3, 4])
    for domain in ("english", "news"):
        turns = [[row for name, row in step if name == domain] for step in steps]
        assert [len(turn) for turn in turns] == [2] * 4
        assert sorted(itertools.chain(*turns[:3])) == list(range(6))
        assert turns[3] == turns[0]


def test_agem_shares_its_rows_among_the_memories():
    steps = rows_asked(gem.AGEM(AGEM_SETTINGS), [1, 2, 3, 4])
    for step in steps:
        assert sorted(name for name, _ in step) == ["english"] * 2 + ["news"] * 2
    everything = sorted(itertools.chain(*steps[:3]))
    assert everything == [(name, row) for name in ("english", "news") for row in range(6)]
    assert steps[3] == steps[0]


@pytest.mark.parametrize("kind", [gem.GEM, gem.AGEM])
def test_rows_depend_on_seed_task_domain_and_step_alone(kind):
    def rows(**changes):
        return rows_asked(kind(GEM_SETTINGS), [3], **changes)

    assert rows() == rows_asked(kind(GEM_SETTINGS), [1, 2, 3])[-1:]  # a resumed run
    assert rows(seed=1) != rows()
    assert rows(index=3) != rows()
    first, second = (
        [row for name, row in rows()[0] if name == domain] for domain in ("english", "news")
    )
    assert first != second


@pytest.mark.parametrize(("kind", "key"), [(gem.GEM, "gem"), (gem.AGEM, "agem")])
def test_memories_that_do_not_fit_are_refused(kind, key):
    kind(GEM_SETTINGS).check({"english": 6})
    with pytest.raises(UserError, match=rf"continual\.{key}\.memory_rows: 6 .* 'news'"):
        kind(GEM_SETTINGS).check({"english": 6, "news": 5})
    with pytest.raises(UserError, match=rf"continual\.{key}\.batch_rows: 7 .* memory_rows 6"):
        kind({**GEM_SETTINGS, "batch_rows": 7}).check({"english": 9})
