"""The rule that picks one point of a front."""

from types import SimpleNamespace

import pytest

from jadapt.core.errors import UserError
from jadapt.evaluation.selection import Rule, choose, extension, score

BASE = {"a": 3.0, "b": 2.0, "kept": 1.0}


@pytest.mark.parametrize(
    ("final", "weight", "expected"),
    [
        ({"a": 2.0, "b": 1.5, "kept": 1.0}, 1.0, 0.75),
        ({"a": 2.0, "b": 1.5, "kept": 1.2}, 1.0, 0.55),
        ({"a": 2.0, "b": 1.5, "kept": 1.2}, 2.0, 0.35),
        # Text that became easier makes up for nothing.
        ({"a": 2.0, "b": 1.5, "kept": 0.5}, 1.0, 0.75),
        ({"a": 2.0, "b": None, "kept": 1.0}, 1.0, -float("inf")),
        ({"a": 2.0, "b": 1.5}, 1.0, 0.75),
    ],
)
def test_the_score_is_what_was_learned_less_what_was_forgotten(final, weight, expected):
    assert score(Rule(weight), BASE, final, ["a", "b"], ["kept"]) == pytest.approx(expected)


def measured(losses):
    return [
        ["b", 1.0, domain, "validation", "bits_per_byte", value, "bit/byte", 1]
        for domain, value in losses.items()
    ]


def chosen(points, weight=1.0):
    results = [
        (SimpleNamespace(rate=rate, strength=strength), measured(losses))
        for rate, strength, losses in points
    ]
    base = [[*row[:1], 0.0, *row[2:]] for row in measured(BASE)]
    return choose("run", Rule(weight), base, results, ["a", "b"], ["kept"])


def test_the_mean_over_seeds_decides():
    points = [
        (1e-3, "", {"a": 2.0, "b": 1.9, "kept": 1.0}),
        (1e-3, "", {"a": 2.6, "b": 1.9, "kept": 1.0}),
        (1e-2, "", {"a": 2.2, "b": 1.8, "kept": 1.0}),
        (1e-2, "", {"a": 2.2, "b": 1.8, "kept": 1.0}),
        (1e-1, "", {"a": 1.0, "b": 1.0, "kept": 9.0}),
    ]
    found = chosen(points)
    assert (found.rate, found.at_end) == (1e-2, False)


def test_a_seed_that_diverged_rules_a_point_out():
    points = [
        (1e-3, "", {"a": 2.5, "b": 1.9, "kept": 1.0}),
        (1e-2, "", {"a": 1.0, "b": 1.0, "kept": 1.0}),
        (1e-2, "", {"a": None, "b": None, "kept": None}),
    ]
    assert chosen(points).rate == 1e-3


def test_nothing_to_choose_from_is_one_line():
    with pytest.raises(UserError, match=r"^run: training diverged at every rate \(0.01, 0.1\)"):
        chosen([(rate, "", {"a": None, "b": 1.0, "kept": 1.0}) for rate in (1e-2, 1e-1)])


@pytest.mark.parametrize(
    ("rates", "best", "expected"),
    [
        ([1e-4, 1e-3, 1e-2], 1e-3, None),
        ([1e-4, 1e-3, 1e-2], 1e-2, 1e-1),
        ([1e-4, 1e-3, 1e-2], 1e-4, 1e-5),
        ([3e-4, 1e-3], 3e-4, 9e-5),
        ([1e-3], 1e-3, None),
    ],
)
def test_a_grid_goes_on_by_the_ratio_of_its_end(rates, best, expected):
    assert extension(rates, best) == (expected and pytest.approx(expected))
