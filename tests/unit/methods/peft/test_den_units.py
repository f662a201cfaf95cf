"""Rank-one units of one layer: operators against closed forms, and the life of a unit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from jadapt.methods.peft.den_operators import group_shrinkage, relative_drift
from jadapt.methods.peft.den_units import GATE_SPEED, UnitBank, attach, banks

INPUTS, OUTPUTS = 6, 4
NUMBERS = st.floats(-3, 3, width=32)


def rows(count, seed, size=None):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(count, size or INPUTS, generator=generator)
    return a, torch.randn(count, size or OUTPUTS, generator=generator)


def bank_with(count, seed=0, maximum=3, selecting=True):
    """A bank in its second task, with ``count`` units left by the first."""
    bank = UnitBank(INPUTS, OUTPUTS, torch.device("cpu"))
    bank.seed = 5
    bank.begin(count, selecting=False)
    bank.grow("layer", count)
    a, b = rows(count, seed)
    bank.new_a.data.copy_(a)
    bank.new_b.data.copy_(b)
    bank.finish(drift_threshold=0.1)
    bank.begin(maximum, selecting)
    return bank


def output(bank, x):
    with torch.no_grad():
        return bank(x, torch.zeros(*x.shape[:-1], OUTPUTS))


# Operators


@given(NUMBERS, st.floats(0, 2, width=32))
def test_gates_shrink_to_the_minimum_of_the_penalised_distance(value, threshold):
    bank = bank_with(1)
    bank.gate.data.fill_(value)
    bank.shrink_gates(threshold)
    found = bank.gate.double().item()
    grid = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    objective = (grid - value) ** 2 / 2 + threshold * grid.abs()
    assert (found - value) ** 2 / 2 + threshold * abs(found) <= objective.min() + 1e-6
    # The objective is strictly convex: a point this near in value is near in place.
    assert abs(found - grid[objective.argmin()]) < 2e-3


def test_group_shrinkage_against_its_closed_form():
    a = torch.tensor([[3.0, 0.0], [0.3, 0.0], [0.0, 0.0]])
    b = torch.tensor([[0.0, 4.0], [0.0, 0.4], [0.0, 0.0]])
    shrunk_a, shrunk_b = group_shrinkage(a, b, 1.0)
    # Norms 5, 0.5 and 0: the first loses a fifth, the others become zero.
    assert torch.allclose(shrunk_a[0], torch.tensor([2.4, 0.0]))
    assert torch.allclose(shrunk_b[0], torch.tensor([0.0, 3.2]))
    assert torch.equal(shrunk_a[1:], torch.zeros(2, 2))
    assert torch.equal(shrunk_b[1:], torch.zeros(2, 2))
    assert torch.equal(group_shrinkage(a, b, 0.0)[0], a)


@given(st.integers(0, 10_000), st.floats(0, 4))
def test_group_shrinkage_is_the_minimum_of_the_penalised_distance(seed, threshold):
    a, b = (tensor.double() for tensor in rows(1, seed))
    start = torch.cat([a, b], 1)

    def objective(z):
        return (z - start).square().sum() / 2 + threshold * z.norm()

    best = torch.cat(group_shrinkage(a, b, threshold), 1)
    for other in range(20):
        step = torch.cat(rows(1, other), 1).double()
        for length in (1e-3, 0.1, 1.0):
            assert objective(best) <= objective(best + length * step) + 1e-12


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-6, 1e-2, 1.0, 30.0]))
def test_drift_is_that_of_the_products(seed, scale):
    a0, b0 = (tensor.double() for tensor in rows(3, seed))
    da, db = (tensor.double() for tensor in rows(3, seed + 1))
    a, b = a0 + scale * da, b0 + scale * db
    dense = torch.einsum("no,ni->noi", b, a) - torch.einsum("no,ni->noi", b0, a0)
    size = torch.einsum("no,ni->noi", b0, a0).flatten(1).norm(dim=1)
    expected = dense.flatten(1).norm(dim=1) / size
    torch.testing.assert_close(relative_drift(a, b, a0, b0), expected, rtol=1e-6, atol=1e-13)


def test_drift_ignores_how_a_unit_is_scaled_between_its_factors():
    a, b = rows(2, 1)
    assert relative_drift(4 * a, b / 4, a, b).max() < 1e-7
    assert torch.equal(relative_drift(a, b, a, b), torch.zeros(2, dtype=torch.float64))


# A bank


def test_a_bank_adds_the_sum_of_its_gated_units():
    bank = bank_with(3)
    bank.gate.data.copy_(torch.tensor([1.0, -0.5, 0.25]) / GATE_SPEED)
    bank.grow("layer", 2)
    bank.new_b.data[:2].copy_(rows(2, 9)[1])
    x = rows(7, 3)[0]
    expected = torch.zeros(7, OUTPUTS)
    for gate, a, b in zip([1.0, -0.5, 0.25], bank.a, bank.b, strict=True):
        expected += gate * torch.outer(x @ a, b)
    for a, b in zip(bank.new_a[:2], bank.new_b[:2], strict=True):
        expected += torch.outer(x @ a, b).detach()
    torch.testing.assert_close(output(bank, x), expected)


def test_growth_changes_no_output_and_stops_at_the_maximum():
    bank = bank_with(2)
    x = rows(5, 4)[0]
    before = output(bank, x)
    for expected in (2, 3, 3):
        bank.grow("layer", 2)
        assert bank.active == expected
        # b is zero: zeros are added, at most in another order.
        torch.testing.assert_close(output(bank, x), before, rtol=1e-6, atol=1e-6)
        assert (bank.new_a[:expected] != 0).all()
        assert not bank.new_a[expected:].any()
    assert not bank.new_b.any()


def test_draws_follow_the_run_the_layer_the_task_and_the_row():
    def drawn(seed=5, layer="layer", finished=1, first=0):
        bank = bank_with(1, maximum=4)
        for _ in range(finished - 1):
            bank.finish(0.1)
            bank.begin(4, selecting=True)
        bank.seed = seed
        if first:
            bank.grow(layer, first)
        bank.grow(layer, 1)
        return bank.new_a[first].detach()

    torch.manual_seed(0)
    one = drawn()
    torch.manual_seed(1)
    assert torch.equal(one, drawn())
    assert one.abs().max() <= INPUTS**-0.5
    for other in (drawn(seed=6), drawn(layer="other"), drawn(finished=2), drawn(first=1)):
        assert not torch.equal(one, other)


def test_room_for_units_stays_zero_under_adamw_and_weight_decay():
    bank = bank_with(2, maximum=5)
    bank.grow("layer", 2)
    optimiser = torch.optim.AdamW(bank.parameters(), lr=0.1, weight_decay=0.5)
    x, target = rows(20, 6)
    for step in range(6):
        if step == 3:
            bank.fix_gates()
        optimiser.zero_grad()
        (bank(x, torch.zeros(20, OUTPUTS)) - target).square().mean().backward()
        # Devices that train together wait for a gradient of every parameter.
        assert all(parameter.grad is not None for parameter in bank.parameters())
        assert not bank.new_a.grad[2:].any()
        assert not bank.new_b.grad[2:].any()
        optimiser.step()
        bank.shrink_new(0.01)
    assert bank.new_a[:2].any()
    assert not bank.new_a[2:].any()
    assert not bank.new_b[2:].any()


def test_selection_drops_the_unit_that_the_task_does_not_need():
    bank = bank_with(2, seed=3)
    x = torch.randn(200, INPUTS, generator=torch.Generator().manual_seed(0))
    target = torch.outer(x @ bank.a[0], bank.b[0])
    rate, optimiser = 2e-3, torch.optim.AdamW(bank.parameters(), lr=2e-3, weight_decay=0.1)

    def train(steps):
        for _ in range(steps):
            optimiser.zero_grad()
            (bank(x, torch.zeros(200, OUTPUTS)) - target).square().mean().backward()
            optimiser.step()
            if bank.selecting:
                bank.shrink_gates(rate * 0.3)

    train(40)
    assert torch.equal(output(bank, x[:0]), torch.zeros(0, OUTPUTS))
    bank.fix_gates()
    assert bank.fixed_gates[1] == 0
    assert bank.fixed_gates[0] > 0.8
    # What selects does not change units, not even by the decay of weights.
    assert torch.equal(bank.copy_a, bank.a)
    assert bank.trainable_count() == 2 + (INPUTS + OUTPUTS)
    gates = bank.fixed_gates.clone()
    optimiser = torch.optim.AdamW(bank.parameters(), lr=2e-3, weight_decay=0.0)
    train(3)
    assert torch.equal(bank.fixed_gates, gates)
    assert not torch.equal(bank.copy_a[0], bank.a[0])
    assert torch.equal(bank.copy_a[1], bank.a[1])


def test_what_was_retrained_is_kept_and_what_drifted_is_split():
    bank = bank_with(3)
    a, b = bank.a.clone(), bank.b.clone()
    bank.gate.data.copy_(torch.tensor([1.0, 0.5, 1.0]) / GATE_SPEED)
    bank.fix_gates()
    gates = bank.fixed_gates.clone()
    moved = [0.02, 0.5, 0.11]
    for unit, share in enumerate(moved):
        bank.copy_b.data[unit] *= 1 + share
    copies = bank.copy_a.detach().clone(), bank.copy_b.detach().clone()
    x = rows(4, 8)[0]
    trained = output(bank, x)
    bank.finish(drift_threshold=0.1)
    # Units 1 and 2 drifted by 0.5 and 0.11, beyond 0.1; unit 0 by 0.02.
    assert bank.stamps.tolist() == [1, 1, 1, 2, 2]
    assert torch.equal(bank.b[0], copies[1][0])
    assert torch.equal(bank.a[1:3], a[1:])
    assert torch.equal(bank.b[1:3], b[1:])
    assert torch.equal(bank.a[3:], copies[0][1:])
    assert torch.equal(bank.b[3:], copies[1][1:] * gates[1:, None])
    assert torch.equal(bank.task_gates[0], torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]))
    assert torch.equal(bank.task_gates[1], torch.cat([gates[:1], torch.tensor([0.0, 0, 1, 1])]))
    # Nothing of what was trained is lost.
    torch.testing.assert_close(output(bank, x), trained)
    shown = gates[0] * torch.outer(x @ a[0], copies[1][0])
    for unit in (1, 2):
        shown += gates[unit] * torch.outer(x @ copies[0][unit], copies[1][unit])
    torch.testing.assert_close(output(bank, x), shown)
    # Told the first task, the shared unit is as retrained, those that were split as they were.
    bank.show(1)
    first = torch.outer(x @ a[0], copies[1][0])
    first += sum(torch.outer(x @ a[unit], b[unit]) for unit in (1, 2))
    torch.testing.assert_close(output(bank, x), first)


@given(st.integers(0, 10_000), st.floats(0, 4))
def test_drift_is_pulled_back_to_the_minimum_of_the_penalised_distance(seed, weight):
    bank = bank_with(2, selecting=False)
    a, b = rows(2, seed)
    bank.copy_a.data.copy_(a)
    bank.copy_b.data.copy_(b)
    bank.pull_back(weight)
    torch.testing.assert_close(bank.copy_a, (a + weight * bank.a) / (1 + weight))
    torch.testing.assert_close(bank.copy_b, (b + weight * bank.b) / (1 + weight))


def test_gates_are_selected_without_the_penalty_on_drift():
    bank = bank_with(2)
    bank.copy_a.data += 1
    before = bank.copy_a.detach().clone()
    bank.pull_back(1.0)
    assert torch.equal(bank.copy_a, before)


def test_a_deselected_copy_is_no_unit_however_far_it_drifted():
    bank = bank_with(2)
    bank.gate.data[0] = 0
    bank.fix_gates()
    bank.copy_b.data[0] *= 5
    before = bank.b.clone()
    bank.finish(drift_threshold=0.1)
    assert bank.stamps.tolist() == [1, 1]
    assert torch.equal(bank.b, before)
    assert torch.equal(bank.task_gates[1], torch.tensor([0.0, bank.task_gates[1, 1]]))


@pytest.mark.parametrize("part", ["new_a", "new_b"])
def test_units_that_add_nothing_are_pruned(part):
    bank = bank_with(1)
    bank.grow("layer", 3)
    bank.new_b.data.copy_(rows(3, 2)[1])
    getattr(bank, part).data[1] = 0
    left = bank.new_a[[0, 2]].detach().clone()
    bank.finish(0.1)
    assert bank.stamps.tolist() == [1, 2, 2]
    assert torch.equal(bank.a[1:], left)


def test_the_group_lasso_prunes_a_unit_that_the_loss_does_not_hold():
    bank = bank_with(0)
    bank.grow("layer", 2)
    bank.new_b.data[0] = 10.0
    for _ in range(20):
        bank.shrink_new(0.05)
    bank.finish(0.1)
    assert bank.count == 1
    assert bank.b[0, 0] > 8


def test_a_bank_is_a_submodule_and_leaves_the_names_of_weights():
    model = nn.Sequential(nn.Linear(INPUTS, OUTPUTS))
    names = set(model.state_dict())
    attach(model[0])
    attach(model[0])
    assert set(model.state_dict()) == names
    assert [name for name, _ in banks(model)] == ["0"]
    x = rows(3, 0)[0]
    assert torch.equal(model(x), nn.functional.linear(x, model[0].weight, model[0].bias))
    with torch.device("meta"):
        other = nn.Linear(INPUTS, OUTPUTS)
    attach(other)
    assert other.units.a.is_meta
