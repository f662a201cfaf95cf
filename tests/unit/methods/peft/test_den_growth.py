"""Growth where the right answer is known: a linear layer, and tasks of known rank.

Task: y = W x + U x + noise, with W the frozen weight and U a sum of rank-one directions. Noise has
a variance of 0.04, so that no model gets below 0.04, however far it grows.
"""

import pytest
import torch
from torch import nn

from jadapt.methods.peft.den import DEN
from jadapt.methods.peft.den_units import banks

SIZE, ROWS, STEPS, RATE = 12, 400, 400, 5e-3
FLOOR = 0.04
SETTINGS = {
    "target_modules": ["q_proj"], "units": 1, "maximum_units": 6, "expansion_threshold": 0.88,
    "selection_share": 0.25, "sparsity": 0.05, "group_sparsity": 0.05, "drift_penalty": 0.1,
    "drift_threshold": 0.3, "expansion_interval": 75,
}  # fmt: skip


class Layer(nn.Module):
    """A model of one linear layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.q_proj = nn.Linear(SIZE, SIZE, bias=False)


def directions(count, seed):
    """A change of the weights of this rank, each direction with the same strength."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator))[0] for _ in range(2)
    )
    # Each adds half to the mean square of an output.
    return (0.5 * SIZE) ** 0.5 * left[:, :count] @ right[:, :count].T


def bank_of(model):
    return next(bank for _, bank in banks(model))


def learn(model, method, task, change):
    """Train a task; return its validation loss at the start and the end, and the units grown."""
    weight = model.q_proj.weight.detach() + change

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(ROWS, SIZE, generator=generator)
        return x, x @ weight.T + FLOOR**0.5 * torch.randn(ROWS, SIZE, generator=generator)

    def loss(rows):
        x, y = rows
        return (model.q_proj(x) - y).square().mean()

    training, held_out = drawn(1), drawn(2)

    def validation_loss():
        with torch.no_grad():
            return loss(held_out).item()

    start = validation_loss()
    method.begin_task(model, task)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        loss(training).backward()
        optimiser.step()
        method.after_step(model, step, STEPS, RATE, validation_loss)
    grown = bank_of(model).active
    method.end_task(model, task)
    return start, validation_loss(), grown


@pytest.fixture(scope="module")
def first():
    """The model after a task of two directions, its bank, and that task."""
    model, method, change = Layer(), DEN(SETTINGS), directions(2, 7)
    method.apply(model)
    torch.manual_seed(3)
    return model, method, change, *learn(model, method, 1, change)


def again(first):
    """A copy of that model, as a run reads it back for a second task."""
    model, method, change, *_ = first
    other = Layer()
    method.apply(other)
    for (_, old), (_, new) in zip(banks(model), banks(other), strict=True):
        new.load(old.stored())
        new.seed = old.seed
    return other, method, change


def test_a_task_of_two_directions_grows_two_units_and_the_loss_falls(first):
    model, _, _, start, end, grown = first
    assert start == pytest.approx(1 + FLOOR, rel=0.2)
    assert grown == bank_of(model).count == 2
    assert end < 1.5 * FLOOR


def test_the_same_task_again_grows_and_splits_nothing(first):
    model, method, change = again(first)
    start, end, grown = learn(model, method, 2, change)
    assert grown == 0
    assert bank_of(model).stamps.tolist() == [1, 1]
    assert end <= 1.05 * start


def test_a_task_that_the_units_can_represent_grows_nothing(first):
    model, method, _ = again(first)
    bank = bank_of(model)
    change = 0.6 * torch.outer(bank.b[0], bank.a[0]) + torch.outer(bank.b[1], bank.a[1])
    start, end, grown = learn(model, method, 2, change)
    assert grown == 0
    assert bank.stamps.tolist() == [1, 1]
    assert start > 2.5 * FLOOR
    assert end < 1.3 * FLOOR
    # What tells the tasks apart are their gates.
    assert (bank.task_gates[1] / bank.task_gates[0])[0] == pytest.approx(0.6, abs=0.15)


@pytest.mark.parametrize("count", [1, 3])
def test_a_task_of_new_directions_grows_by_as_many_and_the_loss_falls(first, count):
    model, method, change = again(first)
    start, end, grown = learn(model, method, 2, change + directions(count, 8))
    assert start == pytest.approx(count / 2 + FLOOR, rel=0.3)
    assert grown == count
    assert end < 2 * FLOOR


def test_what_retraining_gains_is_kept_for_all_tasks(first):
    """A task a little beside the first: its units follow, and both tasks use them."""
    model, method, change = again(first)
    bank = bank_of(model)
    start, end, grown = learn(model, method, 2, change + 0.15 * directions(4, 9))
    assert grown == 0
    assert bank.stamps.tolist() == [1, 1]
    assert end < start
    bank.show(1)
    shared = bank.used_b.T @ bank.used_a
    original = bank_of(first[0])
    assert 0 < (shared - original.b.T @ original.a).norm() / shared.norm() < 0.3
    bank.show(None)
