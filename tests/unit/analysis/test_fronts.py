"""Fronts between learning and forgetting, and methods compared at equal learning."""

from dataclasses import replace

import numpy as np
import pytest

from jadapt.analysis import fronts


def test_the_points_of_a_front_are_those_that_none_dominates():
    gains = np.array([1.0, 2.0, 1.5, 3.0, 0.5])
    forgetting = np.array([0.1, 0.3, 0.4, 0.9, 0.2])
    x, y = fronts.pareto(gains, forgetting)
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert y.tolist() == [0.1, 0.3, 0.9]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(0.0, 0.0), (0.5, 0.05), (1.0, 0.1), (1.5, 0.2), (2.5, 0.6), (3.0, 0.9), (3.1, np.nan)],
)
def test_forgetting_is_read_off_between_neighbours(wanted, expected):
    gains, forgetting = np.array([2.0, 1.0, 3.0, np.nan]), np.array([0.3, 0.1, 0.9, 0.0])
    found = fronts.at_equal_learning(gains, forgetting, wanted)
    assert found == pytest.approx(expected, nan_ok=True)


def test_a_method_that_improves_what_was_to_be_kept_forgets_less_than_nothing():
    found = fronts.at_equal_learning(np.array([1.0, 2.0]), np.array([-0.2, 0.4]), 1.0)
    assert found == pytest.approx(-0.2)


def test_the_area_of_a_straight_front_is_half_its_end():
    found = fronts.area(np.array([1.0, 2.0]), np.array([0.5, 1.0]), 2.0)
    assert found == pytest.approx(0.5)
    assert np.isnan(fronts.area(np.array([1.0]), np.array([0.5]), 2.0))


def study(shift, documents=400, seeds=(1, 2, 3), scatter=0.01, seed=0, draws=400):
    """A reference and a method that forgets ``shift`` more at the same gain: two points each."""
    generator = np.random.default_rng(seed)
    sizes = {name: generator.integers(50, 400, documents) for name in ("task", "kept")}
    base = {name: size * generator.normal(2.0, 0.3, documents) for name, size in sizes.items()}

    def losses(extra):
        rows = {"task": [], "kept": []}
        for gain, forgot in ((0.3, 0.1), (0.6, 0.4)):
            for _ in seeds:
                noise = generator.normal(0, scatter, 2)
                per = generator.normal(0, 0.05, (2, documents))
                rows["task"].append(base["task"] - sizes["task"] * (gain + noise[0] + per[0]))
                rows["kept"].append(
                    base["kept"] + sizes["kept"] * (forgot + extra + noise[1] + per[1])
                )
        bits = {name: np.array(values) for name, values in rows.items()}
        return fronts.Losses(bits, sizes, np.tile(seeds, 2), np.repeat([0, 1], len(seeds)))

    models = {"sft": losses(0.0), "other": losses(shift)}
    return fronts.draw(models, base, ["task"], ["kept"], draws)


def compared(drawn, level, margin=0.02):
    wanted = level * drawn.best_gain("sft")
    return fronts.compare(drawn.forgotten("other", wanted), drawn.forgotten("sft", wanted), margin)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.08, "less"), (0.08, "more")])
def test_a_difference_is_found_with_its_direction(shift, verdict):
    found = compared(study(shift), 0.75)
    assert found.verdict() == verdict
    assert found.difference.low < shift < found.difference.high


def test_equal_methods_are_called_equal_only_within_the_margin():
    assert compared(study(0.0, scatter=0.002), 0.75, margin=0.05).verdict() == "same"
    # The same data under a margin that the interval does not fit.
    assert compared(study(0.0, scatter=0.05), 0.75, margin=0.001).verdict() == "undecided"


def test_a_level_that_is_not_reached_decides_nothing():
    drawn = study(0.0)
    high = 2 * drawn.best_gain("sft")
    found = fronts.compare(drawn.forgotten("other", high), drawn.forgotten("sft", high), 0.02)
    assert found.verdict() == "undecided"
    assert not found.difference.defined


def test_a_line_to_the_base_model_decides_nothing_against_who_has_no_low_rate():
    drawn = study(0.08)
    wanted = 0.2 * drawn.best_gain("sft")
    assert drawn.bound_alone("other", wanted[0]) and not drawn.bound_alone(
        "other", 0.99 * drawn.best_gain("other")[0]
    )
    found = compared(drawn, 0.2, margin=0.001)
    assert found.verdict() == "more"
    assert replace(found, bound=("more",)).verdict() == "undecided"
    assert replace(found, bound=("less",)).verdict() == "more"


def test_intervals_cover_seeds_and_documents():
    """Twice as many documents, or seeds that agree, narrow the interval; neither alone ends it."""
    wide = {}
    for name, options in {
        "all": {}, "documents": {"documents": 40}, "seeds": {"scatter": 0.1},
    }.items():  # fmt: skip
        found = compared(study(0.0, **options), 0.75).difference
        wide[name] = found.high - found.low
    assert wide["documents"] > 1.5 * wide["all"]
    assert wide["seeds"] > 1.5 * wide["all"]


def test_intervals_have_their_coverage():
    """Of many studies without a difference, about one in twenty finds one."""
    hits = 0
    for seed in range(40):
        drawn = study(0.0, documents=60, seeds=range(8), seed=seed, draws=100)
        found = compared(drawn, 0.75).difference
        hits += not found.low <= 0 <= found.high
    assert hits < 8


def test_a_diverged_seed_makes_its_point_missing():
    losses = fronts.Losses(
        {"task": np.array([[1.0], [np.nan], [3.0]])},
        {"task": np.array([1])},
        np.array([1, 2, 3]),
        np.array([0, 0, 0]),
    )
    values = losses.per_byte("task", np.ones((1, 1)))
    mean = fronts._over_seeds(values, losses, [1, 2, 3], np.array([[0, 1, 2]]))
    assert np.isnan(mean).all()
    mean = fronts._over_seeds(values, losses, [1, 2, 3], np.array([[0, 2, 2]]))
    assert mean.tolist() == [[pytest.approx(7 / 3)]]
