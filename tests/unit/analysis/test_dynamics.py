"""The course of training, overfitting, the bootstrap and effect sizes, against hand calculation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import plausible_example
import reporting_example as example
from jadapt.analysis import dynamics, effects, summaries, tables


def curve(training=(), validation=(), *, seed=1, method="sft", task="t", every=1):
    """Return curves of one run: losses at steps 1, 2, … and validations at steps 0, ``every``, …"""
    rows = [(step, "training_loss", value) for step, value in enumerate(training, 1)]
    rows += [(step * every, "validation_loss", value) for step, value in enumerate(validation)]
    at = ("s", method, seed, task)
    frame = [(*at, step, step * 10, metric, value) for step, metric, value in rows]
    names = ["study", "method", "seed", "task", "step", "tokens", "metric", "value"]
    return pd.DataFrame(frame, columns=names)


def test_convergence_is_where_the_smoothed_loss_stays_near_its_end():
    # Ten losses are not smoothed. At step 3 the loss is near its end, but leaves again.
    losses = [4.0, 3.0, 2.0, 3.0, 2.09, 2.05, 2.0, 2.1, 2.0, 2.0]
    assert dynamics.steps_to_converge(curve(losses), "sft")[1] == 5
    # Of twenty, pairs are averaged: the last far pair is that of steps 4 and 5.
    losses = [4.0] * 4 + [2.0] * 16
    assert dynamics.steps_to_converge(curve(losses), "sft")[1] == 6
    assert dynamics.steps_to_converge(curve([2.0] * 10), "sft")[1] == 1


def test_measures_are_averaged_over_tasks():
    both = pd.concat([curve([2.0] * 10, task="a"), curve([4.0] * 4 + [2.0] * 6, task="b")])
    assert dynamics.steps_to_converge(both, "sft")[1] == (1 + 5) / 2


def test_variance_is_that_of_the_last_tenth():
    losses = np.random.default_rng(0).normal(size=50)
    found = dynamics.variance_at_end(curve(losses), "sft")[1]
    assert found == pytest.approx(np.var(losses[-5:], ddof=1))
    # Three at least.
    found = dynamics.variance_at_end(curve([9.0, 1.0, 2.0, 3.0]), "sft")[1]
    assert found == pytest.approx(1.0)
    assert math.isnan(dynamics.variance_at_end(curve([1.0, 2.0]), "sft")[1])


def test_a_diverged_loss_has_no_measure():
    losses = [4.0, math.nan, 2.0, 2.0]
    for measure in (dynamics.steps_to_converge, dynamics.variance_at_end):
        assert math.isnan(measure(curve(losses), "sft")[1])


def seeds(validations, training=(3.0, 2.0, 1.0)):
    return pd.concat(
        curve(training, validation, seed=seed) for seed, validation in enumerate(validations, 1)
    )


def test_the_turning_point_of_a_seed_is_that_of_the_others():
    table = seeds([[3.0, 1.0, 2.0, 2.5], [3.0, 2.0, 1.0, 1.4]])
    # Seed 1 turns where seed 2 is lowest (step 2), seed 2 where seed 1 is lowest (step 1).
    assert dynamics.validation_rise(table, "sft").to_dict() == pytest.approx({1: 0.5, 2: -0.6})
    # From the loss logged last before the turn to the last.
    assert dynamics.turns(table, "sft")["training"].to_dict() == {1: -1.0, 2: -2.0}
    assert dynamics.lowest_validation_step(table, "sft").to_dict() == {1: 1, 2: 2}


def test_one_seed_has_no_turning_point_to_test():
    table = seeds([[3.0, 1.0, 2.0]])
    assert dynamics.validation_rise(table, "sft").isna().all()
    assert not dynamics.overfits(table)["overfits"].any()
    assert not dynamics.summary(table)["tested"]


def test_a_rise_is_overfitting_where_training_falls():
    rising = [[3.0, 1.0, 1.5 + 0.01 * k, 2.0 + 0.02 * k] for k in range(4)]
    found = dynamics.overfits(seeds(rising)).iloc[0]
    assert found["overfits"]
    rises = [2.0 + 0.02 * k - 1.0 for k in range(4)]
    assert found["p"] == pytest.approx(stats.ttest_1samp(rises, 0, alternative="greater").pvalue)
    # The same rise with a training loss that rises too is something else.
    assert not dynamics.overfits(seeds(rising, training=(1.0, 2.0, 3.0)))["overfits"].any()
    falling = [[3.0, 2.0, 1.5 + 0.01 * k, 1.0] for k in range(4)]
    assert not dynamics.overfits(seeds(falling))["overfits"].any()


def test_noise_alone_is_rarely_overfitting():
    """Among flat curves the test errs as often as it may: a minimum of one's own always errs."""
    draw = np.random.default_rng(0)
    flat = [seeds(draw.normal(size=(3, 4)).tolist()) for _ in range(200)]
    table = dynamics.overfits(pd.concat(f.assign(method=str(n)) for n, f in enumerate(flat)))
    assert len(table) == 200
    # The p of a single method is not corrected.
    assert ((table["p"] < 0.05) & (table["training"] < 0)).sum() <= 20


def test_many_methods_are_corrected_together():
    rising = [[3.0, 1.0, 1.5, 1.9 + 0.3 * k] for k in range(3)]
    one = dynamics.overfits(seeds(rising))
    many = pd.concat(seeds(rising).assign(method=name) for name in ("sft", "lora", "dora"))
    three = dynamics.overfits(many)
    assert three["p"].nunique() == 1
    assert three["p_holm"].iloc[0] == pytest.approx(min(1, 3 * one["p"].iloc[0]))


def test_effect_size_is_hedges_of_paired_differences():
    differences = pd.Series([1.0, 2.0, 4.0])
    d_z = differences.mean() / differences.std(ddof=1)
    # For two degrees of freedom the exact correction is Γ(1) / Γ(1/2).
    assert effects.effect_size(differences) == pytest.approx(d_z / math.sqrt(math.pi))
    many = pd.Series(np.random.default_rng(0).normal(1, 1, 101))
    approximate = 1 - 3 / (4 * 100 - 1)
    expected = approximate * many.mean() / many.std(ddof=1)
    assert effects.effect_size(many) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [1.0, 1.0, 1.0], [1.0, 2.0, math.nan]])
def test_there_is_not_always_an_effect_size(values):
    assert math.isnan(effects.effect_size(pd.Series(values)))


def test_the_bootstrap_covers_what_it_should_and_repeats():
    draw = np.random.default_rng(1)
    sample = pd.Series(draw.normal(0, 1, 200))
    low, high = effects.bootstrap_interval(sample)
    # Of many values it is the normal interval.
    half = 1.96 * sample.std(ddof=1) / math.sqrt(200)
    assert (low, high) == pytest.approx((sample.mean() - half, sample.mean() + half), abs=0.02)
    assert effects.bootstrap_interval(sample) == (low, high)
    few = pd.Series([1.0, 2.0, 4.0])
    low, high = effects.bootstrap_interval(few)
    assert few.min() <= low < few.mean() < high <= few.max()


@pytest.mark.parametrize("values", [[1.0], [], [1.0, math.nan]])
def test_there_is_not_always_a_bootstrap_interval(values):
    assert all(map(math.isnan, effects.bootstrap_interval(pd.Series(values, dtype=float))))


def test_equal_values_have_an_interval_without_width():
    assert effects.bootstrap_interval(pd.Series([2.0, 2.0])) == (2.0, 2.0)


def test_the_tables_name_every_method_once(tmp_path):
    folder = plausible_example.write(tmp_path)
    curves = tables.read_curves(folder / "curves.csv")
    metrics = tables.read_metrics(folder / "metrics.csv")
    assert list(dynamics.convergence_table(curves)["method"]) == summaries.adapted(metrics)
    table = effects.effects_table(metrics).set_index("method")
    assert list(table.index) == [name for name in summaries.adapted(metrics) if name != "sft"]
    runs = summaries.learning_and_forgetting(metrics).set_index(["method", "seed"])["gain"]
    expected = (runs["lora"] - runs["sft"]).mean()
    assert table.loc["lora", "gain_difference"] == pytest.approx(expected)
    assert table.loc["lora", "gain_low"] <= expected <= table.loc["lora", "gain_high"]


def test_a_study_of_one_seed_and_one_method_has_tables_too():
    curves = example.curves(["sft"], [1], ["everyday"])
    assert len(dynamics.convergence_table(curves)) == 1
    metrics = example.metrics(["sft"], [1], ["everyday"])
    assert effects.effects_table(metrics).empty
