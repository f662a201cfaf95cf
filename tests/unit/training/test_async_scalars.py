"""Numbers of a step are looked at late, in their order, and none is lost."""

import math

import pytest
import torch

from jadapt.training.async_scalars import Diverged, Readings


def scalar(value):
    return torch.tensor(value, requires_grad=True)


def test_losses_are_taken_once_and_norms_are_of_the_newest_step():
    readings = Readings()
    for step, value in enumerate((1.0, 2.0), start=1):
        readings.loss(scalar(value), step)
        readings.norm(scalar(value / 2), step)
    assert math.isnan(readings.gradient_norm)
    readings.settle(scaled=False)
    assert readings.gradient_norm == 1.0
    assert [reading.value() for reading in readings.take_losses()] == [1.0, 2.0]
    assert readings.take_losses() == []


@pytest.mark.parametrize(
    ("loss", "norm", "scaled", "message"),
    [
        (math.nan, 1.0, True, "the loss is nan at step 3; lower the learning rate"),
        (1.0, math.inf, False, "the gradient's norm is inf at step 3; lower the learning rate"),
    ],
)
def test_what_is_not_finite_names_its_own_step(loss, norm, scaled, message):
    readings = Readings()
    readings.loss(scalar(loss), 3)
    readings.norm(scalar(norm), 3)
    readings.loss(scalar(1.0), 4)
    with pytest.raises(Diverged, match=message):
        readings.settle(scaled)


def test_a_loss_scaler_skips_steps_whose_gradients_overflow():
    readings = Readings()
    for norm in (math.inf, 1.0, math.nan, 2.0):
        readings.norm(scalar(norm), 1)
    readings.settle(scaled=True)
    assert (readings.skipped_steps, readings.gradient_norm) == (2, 2.0)
