"""Gradient projections against other solvers, their optimality conditions and equal cases."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls

from jadapt.methods.continual import projection
from projecting import by_nnls, cosine_bound


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


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(20))
def test_gem_is_the_solution_of_another_solver(seed, margin):
    gradient, memories = violated_instance(seed, count=1 + seed % 5)
    found = projection.project_gem(gradient, memories, margin)
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
    found = projection.project_gem(gradient, memories, 0.0).gradient
    np.testing.assert_allclose(found.numpy(), primal.x, atol=1e-4)


@settings(max_examples=150, deadline=None)
@given(instances)
@example(instance(52711, 3, 2, 0.0859375))
def test_no_memory_is_interfered_with_and_the_step_is_optimal(case):
    """Feasible; what was added is a non-negative combination of memories; and, by complementary
    slackness, orthogonal to the result: the conditions of Karush, Kuhn and Tucker."""
    gradient, memories = case
    found = projection.project_gem(gradient, memories, 0.0).gradient
    assert cosine_bound(found, gradient, memories) > -1e-6
    added = (found - gradient).double()
    size = gradient.double().norm()
    duals, rest = nnls(memories.double().numpy().T, added.numpy())
    assert rest < 1e-6 * size
    # Between memories that are nearly opposed the duals grow, and with them what the ridge moves.
    ridge = projection.RIDGE * ((duals * memories.double().norm(dim=1).numpy()) ** 2).sum()
    assert abs((added @ found.double()).item()) < 1e-6 * size**2 + 2 * ridge


@settings(max_examples=100, deadline=None)
@given(instances, st.floats(0, 1))
def test_nothing_changes_without_a_violation(case, margin):
    gradient, memories = case
    signs = torch.sign(memories.double() @ gradient.double())
    memories = memories * signs[:, None].float()  # now g.g_k >= 0 for all k
    before = gradient.clone()
    found = projection.project_gem(gradient, memories, margin)
    assert found.gradient is gradient
    assert torch.equal(gradient, before)
    assert (found.violated, found.norm_ratio) == (0, 1.0)
    assert projection.project_agem(gradient, memories[0]).gradient is gradient


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_one_memory_without_margin_is_agem(seed, size):
    gradient, memories = instance(seed, 1, size, 1.0)
    by_gem, by_agem = (
        projection.project_gem(gradient, memories, 0.0),
        projection.project_agem(gradient, memories[0]),
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
        projection.project_gem(gradient, memory[None], 0.0),
        projection.project_agem(gradient, memory),
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
    step = -0.1 * projection.project_gem(gradient, memories, 0.0).gradient.double()
    scale = memories.double().norm(dim=1) * gradient.double().norm()
    assert ((memories.double() @ step) / scale).max() < 1e-6


def test_a_margin_adds_at_least_its_share_of_each_memory():
    """By hand: orthogonal memories (0, 2, 0) and (0, 0, 4), g violates the first by v = 1/2 only.

    Margin 0.75 then binds on both: g~ = g + 0.75 (0, 2, 0) + 0.75 (0, 0, 4).
    """
    gradient = torch.tensor([1.0, -1.0, 1.0])
    memories = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 4.0]])
    without = projection.project_gem(gradient, memories, 0.0).gradient
    assert without.tolist() == pytest.approx([1, 0, 1], abs=1e-6)
    found = projection.project_gem(gradient, memories, 0.75).gradient
    assert found.tolist() == pytest.approx([1, 0.5, 4], abs=1e-6)


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_a_common_scale_of_all_gradients_is_carried_through(scale, margin):
    gradient, memories = violated_instance()
    plain = projection.project_gem(gradient, memories, margin)
    scaled = projection.project_gem(gradient * scale, memories * scale, margin)
    torch.testing.assert_close(scaled.gradient / scale, plain.gradient, rtol=1e-4, atol=1e-5)
    assert scaled[1:] == pytest.approx(plain[1:], rel=1e-5)


def test_the_scale_of_a_memory_matters_for_the_margin_alone():
    gradient, memories = violated_instance()
    scales = torch.tensor([1e-6, 1.0, 1e6])[:, None]
    plain = projection.project_gem(gradient, memories, 0.0).gradient
    scaled = projection.project_gem(gradient, memories * scales, 0.0).gradient
    torch.testing.assert_close(scaled, plain, rtol=0, atol=1e-5)
    small = projection.project_gem(gradient, memories, 0.5).gradient
    large = projection.project_gem(gradient, memories * 10, 0.5).gradient
    assert (large - gradient).norm() > 5 * (small - gradient).norm()


def test_parallel_opposed_and_empty_memories():
    gradient, memories = violated_instance(count=1)
    m = memories[0]
    once = projection.project_gem(gradient, memories, 0.0).gradient
    for degenerate in (
        torch.stack([m, m]),
        torch.stack([m, 3 * m, torch.zeros_like(m)]),
        torch.stack([m, -m]),  # both at once: nothing along m, which is what m alone leaves too
    ):
        found = projection.project_gem(gradient, degenerate, 0.0)
        torch.testing.assert_close(found.gradient, once, rtol=0, atol=1e-5)
        assert found.violated >= 1
    assert projection.project_gem(gradient, memories * 0, 0.5).gradient is gradient
    assert projection.project_agem(gradient, m * 0).gradient is gradient
    nothing = torch.zeros_like(gradient)
    assert projection.project_gem(nothing, memories, 0.5).gradient is nothing
    assert projection.project_agem(nothing, m).gradient is nothing


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_overflow_is_left_for_the_loss_scaler(bad):
    gradient, memories = violated_instance()
    gradient[3] = bad
    assert projection.project_gem(gradient, memories, 0.5).gradient is gradient
    assert projection.project_agem(gradient, memories[0]).gradient is gradient


def test_long_vectors_are_summed_in_pieces(monkeypatch):
    gradient, memories = violated_instance()
    whole = projection.project_gem(gradient, memories, 0.5)
    monkeypatch.setattr(projection, "CHUNK", 7)
    pieces = projection.project_gem(gradient, memories, 0.5)
    torch.testing.assert_close(pieces.gradient, whole.gradient)
