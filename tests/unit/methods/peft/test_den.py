"""Dynamically expandable networks on a tiny model: laws of time stamps, and growth."""

import pytest
import torch

import tiny_model
from den_example import STEPS, adapted, logits, loss_on, optimiser_of, take_steps, train
from jadapt.core.errors import UserError
from jadapt.methods.peft.den_operators import relative_drift
from jadapt.methods.peft.den_units import banks

# Time stamps


def test_the_latest_task_and_the_base_model_are_exact(sequence):
    model, method, ends, _ = sequence
    assert torch.equal(ends[0], logits(tiny_model.build()))
    for index in (0, 3, None):
        method.for_task(model, index)
        assert torch.equal(logits(model), ends[3 if index is None else index])
    for one, other in ((0, 1), (1, 2), (2, 3)):
        assert not torch.allclose(ends[one], ends[other], atol=1e-2)


def test_the_end_of_a_task_loses_nothing_of_what_was_trained(sequence):
    _, method, _, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[1])
    method.begin_task(model, 2)
    take_steps(model, method, optimiser_of(model), 2, 1, STEPS)
    trained = logits(model)
    method.end_task(model, 2)
    torch.testing.assert_close(logits(model), trained, atol=1e-4, rtol=1e-4)


def test_where_every_unit_that_moved_is_split_earlier_tasks_are_exact():
    model, method = adapted(drift_threshold=0.0)
    ends = [logits(model)]
    for task in (1, 2):
        train(model, method, task)
        ends.append(logits(model))
    for index in (1, 0, 2):
        method.for_task(model, index)
        assert torch.equal(logits(model), ends[index])


def test_earlier_tasks_change_by_the_units_that_they_share_alone(sequence):
    model, method, ends, folders = sequence
    before, _ = adapted()
    method.restore(before, folders[1])
    changed = 0
    for (_, old), (_, new) in zip(banks(before), banks(model), strict=True):
        drift = relative_drift(new.a[: old.count], new.b[: old.count], old.a, old.b)
        # Two tasks retrained them, and neither kept what moved by more than the threshold.
        assert drift.max() <= 1.6**2 - 1
        shared = (new.task_gates[1:, : old.count] != 0).any(0)
        assert not drift[~shared].any()
        changed += int((drift > 0).sum())
        old.a.copy_(new.a[: old.count])
        old.b.copy_(new.b[: old.count])
        old.show(None)
    assert changed
    method.for_task(model, 1)
    torch.testing.assert_close(logits(model), logits(before))
    assert not torch.allclose(logits(model), ends[1], atol=1e-4)
    method.for_task(model, None)


def test_every_task_computes_the_same_after_saving_and_loading(sequence):
    trained, method, ends, folders = sequence
    model, _ = adapted()
    for last in (2, 3):
        method.restore(model, folders[last])
        assert torch.equal(logits(model), ends[last])
        with pytest.raises(UserError, match=f"no task {last + 1} here; {last} tasks"):
            method.for_task(model, last + 1)
    for index in range(4):
        for one in (model, trained):
            method.for_task(one, index)
        assert torch.equal(logits(model), logits(trained))
    method.for_task(trained, None)


def test_earlier_tasks_are_exact_while_a_later_one_trains(sequence):
    _, method, ends, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[2])
    method.begin_task(model, 3)
    take_steps(model, method, optimiser_of(model), 3, 1, 6)
    training = logits(model)
    method.for_task(model, 2)
    assert torch.equal(logits(model), ends[2])
    method.for_task(model, None)
    assert torch.equal(logits(model), training)


def test_units_carry_the_task_that_they_were_born_in(sequence):
    model, method, _, _ = sequence
    for _, bank in banks(model):
        assert set(bank.stamps.tolist()) <= {1, 2, 3}
        assert bank.stamps.tolist() == sorted(bank.stamps.tolist())
        for task in (1, 2, 3):
            assert not bank.task_gates[task - 1][bank.stamps > task].any()
    # Later tasks reuse units as they are, refuse some, and duplicate some.
    gates = torch.cat([bank.task_gates[1:, bank.stamps == 1].flatten() for _, bank in banks(model)])
    assert (gates == 0).any()
    assert (gates != 0).any()
    assert any((bank.stamps == 2).sum() > 4 for _, bank in banks(model))
    assert method.stored_count(model) == sum(b.a.numel() + b.b.numel() for _, b in banks(model))


def test_each_task_is_learned_and_the_base_never_changes(sequence):
    model, method, _, folders = sequence
    base, then = tiny_model.build(), adapted()[0]
    with torch.no_grad():
        for task in (1, 2, 3):
            method.restore(then, folders[task])
            assert loss_on(then, task) < 0.6 * loss_on(base, task)
    weights = model.state_dict()
    assert set(weights) == set(base.state_dict())
    assert all(torch.equal(weights[name], tensor) for name, tensor in base.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


# Beginning and growth


def test_a_task_starts_from_the_model_of_the_one_before(sequence):
    _, method, ends, folders = sequence
    model, _ = adapted()
    method.begin_task(model, 1)
    assert torch.equal(logits(model), ends[0])
    method.restore(model, folders[2])
    method.begin_task(model, 3)
    torch.testing.assert_close(logits(model), ends[2], atol=1e-4, rtol=1e-4)
    names = {name.rpartition(".")[2] for name, p in model.named_parameters() if p.requires_grad}
    assert names == {"gate", "copy_a", "copy_b", "new_a", "new_b"}


def growth(model, method, task, losses, steps=20, start=10.0):
    """Run a task without training; return the steps that asked for the loss, and units by step."""
    method.begin_task(model, task)
    asked, active = [], []

    def loss(step):
        if all(bank.shown == 0 for _, bank in banks(model)):
            asked.append("start")
            return start
        asked.append(step)
        return losses(step)

    for step in range(1, steps + 1):
        method.after_step(model, step, steps, 0.0, lambda step=step: loss(step))
        active.append({bank.active for _, bank in banks(model)})
    assert all(len(numbers) == 1 for numbers in active)
    return asked, [numbers.pop() for numbers in active]


def test_growth_stops_at_the_maximum_and_asks_no_more():
    model, method = adapted(units=2, maximum_units=5)
    asked, active = growth(model, method, 1, lambda step: 9.0)
    assert asked == ["start", 4, 8]
    assert active == [2] * 3 + [4] * 4 + [5] * 13


def test_no_growth_once_the_share_is_taken_away():
    model, method = adapted(expansion_threshold=0.75)
    asked, active = growth(model, method, 1, lambda step: 2.5)
    # Not after the last step: what is added there would never train.
    assert asked == ["start", 4, 8, 12, 16]
    assert active == [2] * 20


def test_the_threshold_follows_the_loss_without_units():
    for start, grows in ((3.0, True), (4.0, False)):
        model, method = adapted(expansion_threshold=0.5)
        _, active = growth(model, method, 1, lambda step: 1.9, start=start)
        assert (active[-1] > 2) == grows


def test_a_later_task_selects_first_and_grows_only_if_that_does_not_do(sequence):
    _, method, _, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[1])
    # A quarter of 20 steps selects; then the loss is asked for, and every fourth step after.
    asked, active = growth(model, method, 2, lambda step: 9.0 if step == 9 else 0.5)
    assert asked == ["start", 5, 9, 13, 17]
    assert active == [0] * 8 + [2] * 12


def test_growth_changes_no_logit(sequence):
    _, method, _, folders = sequence
    model, _ = adapted()
    method.restore(model, folders[2])
    method.begin_task(model, 3)
    take_steps(model, method, optimiser_of(model), 3, 1, 5)
    before, units = logits(model), {bank.active for _, bank in banks(model)}
    assert units == {2}
    for name, bank in banks(model):
        bank.grow(name, 2)
    torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=1e-5)
