"""Means, intervals and what is computed from the tables."""

import math

import pandas as pd
import pytest

import reporting_example as example
from jadapt.analysis import summaries
from jadapt.analysis.statistics import (
    Estimate,
    estimate,
    holm,
    paired_difference,
    paired_p,
    paired_tests,
    summarise,
)
from jadapt.paper import context


def test_interval_is_students():
    found = estimate([1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.302653; the standard error is 1 / sqrt(3).
    assert found.mean == 2
    assert found.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert (found.low, found.high) == (found.mean - found.half_width, 2 + found.half_width)


def test_one_seed_has_no_interval():
    found = estimate([1.5])
    assert found.n == 1 and not found.has_interval
    assert found.low == found.high == 1.5


def test_a_diverged_seed_is_not_averaged_away():
    assert math.isnan(estimate([1.0, math.nan]).mean)


def test_nothing_is_missing():
    assert math.isnan(estimate([]).mean)


def test_pairing_removes_what_seeds_share():
    first = pd.Series([1.0, 5.0], index=[1, 2])
    difference = paired_difference(first, first - 0.25)
    assert difference.mean == pytest.approx(0.25)
    assert difference.half_width == pytest.approx(0)


def test_pairing_takes_common_seeds_only():
    first, second = pd.Series([1.0, 2.0], index=[1, 2]), pd.Series([0.0, 9.0], index=[2, 3])
    assert paired_difference(first, second) == Estimate(
        2.0, pytest.approx(math.nan, nan_ok=True), 1
    )


def test_summarise_keeps_the_order_of_appearance():
    frame = pd.DataFrame({"method": ["b", "a", "b"], "value": [1.0, 5.0, 3.0]})
    found = summarise(frame, ["method"])
    assert list(found["method"]) == ["b", "a"]
    assert list(found["mean"]) == [2, 5]
    assert list(found["n"]) == [2, 1]


def test_gain_and_loss_are_against_the_base_model():
    found = summaries.learning_and_forgetting(
        example.metrics(["sft", "lora"], [1, 2], ["everyday", "cloud"])
    )
    lora = found[(found["method"] == "lora") & (found["seed"] == 2)].iloc[0]
    assert lora["gain"] == pytest.approx(0.91)
    assert lora["loss"] == pytest.approx(0.21)
    assert len(found) == 4


def test_only_the_state_after_the_last_task_counts():
    metrics = example.metrics(["sft"], [1], ["everyday", "cloud"])
    early = (metrics["trained_through"] == "everyday") & (metrics["method"] == "sft")
    metrics.loc[early, "value"] = 99.0
    assert summaries.learning_and_forgetting(metrics)["gain"].iloc[0] == pytest.approx(1.0)


def test_domains_begin_with_the_tasks():
    metrics = example.metrics(["sft"], [1], ["everyday", "cloud"])
    assert summaries.tasks(metrics) == ["everyday", "cloud"]
    assert summaries.domains(metrics) == ["everyday", "cloud", "english"]


def test_tokens_go_on_from_task_to_task():
    curves = example.curves(["sft"], [1], ["everyday", "cloud"])
    points = summaries.curve_points(curves, "training_loss")
    assert list(points[points["task"] == "everyday"]["tokens"]) == [0, 320, 640, 960, 1280]
    assert list(points[points["task"] == "cloud"]["tokens"]) == [1280, 1600, 1920, 2240, 2560]
    assert summaries.task_ends(curves) == [("everyday", 1280), ("cloud", 2560)]


def test_long_curves_are_thinned_by_averaging():
    line = pd.DataFrame({"step": range(1000), "value": [0.0, 2.0] * 500})
    curves = line.assign(
        study="s", method="sft", seed=1, task="t", tokens=line["step"], metric="training_loss"
    )
    points = summaries.curve_points(curves, "training_loss", points=80)
    assert len(points) <= 80
    assert points["mean"].between(0.8, 1.2).all()


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        (Estimate(-1.0, 0.5, 3), "less"),
        (Estimate(-1.0, 1.5, 3), "same"),
        (Estimate(1.0, 0.5, 3), "more"),
        (Estimate(1.0, math.nan, 1), "more"),
        (Estimate(math.nan, math.nan, 0), "same"),
    ],
)
def test_words_follow_intervals(difference, word):
    assert context.direction(difference) == word


def test_overfitting_is_found_in_the_mean_curve():
    curves = example.curves(["sft"], [1, 2], ["everyday"])
    assert context.lowest_validation(curves, "sft").last
    late = (curves["metric"] == "validation_loss") & (curves["step"] == 20)
    curves.loc[late, "value"] = 9.0
    found = context.lowest_validation(curves, "sft")
    assert not found.last
    assert found.tokens == 15 * 64
    assert found.rise == pytest.approx(9.0 - found.loss)


def test_published_counts_beside_the_definition():
    found = context.earlier_study(
        {
            "earlier_study": {"rank": 16, "parameters_by_rank": {4: 100, 64: 500}},
            "lora_count": {"parameters_per_rank": 549888},
        }
    )
    assert found["counted"] == 8798208
    assert (found["rank_ratio"], found["count_ratio"]) == (16, 5)


def runs(**methods):
    """A frame of gains by method and seed; losses are half of them."""
    rows = [
        {"method": name, "seed": seed, "gain": gain, "loss": gain / 2}
        for name, gains in methods.items()
        for seed, gain in enumerate(gains, 1)
    ]
    return pd.DataFrame(rows)


def test_paired_test_is_students():
    # Differences 1, 2, 3: t = 2 / (1 / sqrt(3)) = 3.4641 with two degrees of freedom, for which
    # p = 1 - t / sqrt(2 + t * t).
    found = paired_tests(runs(sft=[1.0, 1.0, 1.0], lora=[2.0, 3.0, 4.0]), "sft", ["gain"])
    (row,) = found.to_dict("records")
    t = math.sqrt(12)
    assert row["p"] == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert row["p_holm"] == row["p"]
    assert (row["method"], row["difference"], row["n"]) == ("lora", 2.0, 3)
    assert row["half_width"] == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_the_test_and_the_interval_agree_at_the_level():
    """p is below 0.05 just when the interval leaves zero out."""
    for shift in (0.4, 0.5, 0.6, 1.0, 2.0):
        first, second = pd.Series([shift, shift + 0.3, shift - 0.2]), pd.Series([0.0, 0.0, 0.0])
        interval = paired_difference(first, second)
        assert (paired_p(first, second) < 0.05) == (interval.low > 0)


def test_seeds_are_paired_by_number():
    shuffled = pd.Series([3.0, 1.0, 2.0], index=[3, 1, 2])
    ordered = pd.Series([1.5, 2.5, 3.6], index=[1, 2, 3])
    assert paired_p(shuffled, ordered) == pytest.approx(paired_p(shuffled.sort_index(), ordered))
    assert paired_p(shuffled, ordered) < 0.01


def test_identical_runs_cannot_be_told_apart():
    found = paired_tests(runs(sft=[1.0, 2.0], lora=[1.0, 2.0]), "sft")
    assert found["p"].tolist() == [1, 1]
    assert found["difference"].tolist() == [0, 0]


def test_a_difference_that_never_varies_is_certain(recwarn):
    found = paired_tests(runs(sft=[1.0, 2.0, 3.0], lora=[1.5, 2.5, 3.5]), "sft", ["gain"])
    assert found["p"].item() == pytest.approx(0)
    assert not recwarn.list


def test_one_seed_makes_no_test_and_does_not_count():
    frame = runs(sft=[1.0, 2.0, 3.0], lora=[1.6, 2.4, 3.5], ewc=[4.0])
    found = paired_tests(frame, "sft", ["gain"]).set_index("method")
    assert math.isnan(found["p"]["ewc"]) and math.isnan(found["p_holm"]["ewc"])
    assert found["n"]["ewc"] == 1
    assert found["p_holm"]["lora"] == found["p"]["lora"]


def test_a_diverged_seed_makes_no_test():
    found = paired_tests(runs(sft=[1.0, 2.0, 3.0], lora=[2.0, math.nan, 3.0]), "sft", ["gain"])
    assert math.isnan(found["p"].item())


def test_holm_against_the_definition():
    values = [0.04, 0.01, math.nan, 0.03, 0.6]
    # The smallest of four times 4, the next times 3 ..., never less than the one before.
    assert holm(pd.Series(values)) == pytest.approx([0.09, 0.04, math.nan, 0.09, 0.6], nan_ok=True)


def test_all_measures_are_corrected_together():
    frame = runs(sft=[1.0, 2.0, 3.0], lora=[1.6, 2.4, 3.5], ewc=[0.0, 1.1, 2.4])
    found = paired_tests(frame, "sft")
    assert list(found["measure"]) == ["gain", "loss"] * 2
    assert found["p_holm"].tolist() == pytest.approx(holm(found["p"]).tolist())
    assert found["p_holm"].min() == pytest.approx(4 * found["p"].min())
