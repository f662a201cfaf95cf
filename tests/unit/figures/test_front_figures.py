"""The figures of the fronts: labels that do not overlap, and what is refused."""

import itertools

import numpy as np
import pandas as pd
import pytest

import fronts_example as example
from jadapt.analysis import front_measures
from jadapt.analysis.front_points import Plan
from jadapt.core.tables import BASELINES, FRONT_MEASURES
from jadapt.figures import equal_learning, fronts, style
from jadapt.figures.direct_labels import Label, place


@pytest.fixture(autouse=True)
def house_style():
    style.use()
    yield
    style.pyplot.close("all")


@pytest.fixture(scope="module")
def measures(tmp_path_factory):
    folder = example.write(tmp_path_factory.mktemp("fronts"), diverged=[("lora", 4, 2)])
    table = example.collected(folder)
    baselines = BASELINES.read(folder / "baselines.csv")
    plan = Plan.of(example.settings())
    found = front_measures.measure(table, plan, baselines=baselines, draws=50)
    FRONT_MEASURES.write_frame(folder / "front_measures.csv", found)
    return FRONT_MEASURES.read(folder / "front_measures.csv")


def words(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_labels_of_points_in_a_crowd_do_not_overlap():
    _, axis = style.pyplot.subplots(figsize=(5, 4))
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    labels = [Label(f"method {n}", 0.7 + 0.005 * n, 0.5 + 0.003 * n, "black") for n in range(15)]
    drawn = np.array([[label.x, label.y] for label in labels])
    boxes = place(axis, labels, drawn)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    frame = axis.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_every_line_of_the_front_is_labelled(measures):
    shown = words(fronts.fronts(measures))
    for label in ("Full fine-tuning", "Full fine-tuning, interpolated", "LoRA", "Joint training"):
        assert label in shown
    assert "base model" in shown and any("n-gram" in text for text in shown)


def test_diverged_points_are_named_beneath(measures):
    figure = fronts.fronts(measures)
    (note,) = [text.get_text() for text in figure.texts if "Diverged" in text.get_text()]
    assert "LoRA 0.01" in note


def test_the_reference_is_thick_and_the_bound_hollow(measures):
    figure = fronts.fronts(measures)
    widths = [line.get_linewidth() for line in figure.axes[0].lines]
    assert widths.count(fronts.REFERENCE_WIDTH) == 1


def test_a_level_that_is_not_reached_is_said(measures):
    figure = equal_learning.equal_learning(measures)
    assert len(figure.axes) == 3
    assert words(figure).count("not reached") >= 3
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert "Full fine-tuning" in labels and labels[-1] == "Prefix tuning"


def test_without_full_fine_tuning_nothing_is_compared(tmp_path):
    table = example.collected(example.write(tmp_path, ("replay", "lora")))
    plan = Plan.of(example.settings(("sft", "replay", "lora")))
    found = front_measures.measure(table, plan, draws=20)
    figure = equal_learning.equal_learning(found)
    assert any("was not run" in text for text in words(figure))
    assert "Replay" in words(fronts.fronts(found))


def test_a_study_whose_points_all_diverged_says_so(tmp_path):
    lost = [("sft", place, seed) for place in range(5) for seed in (1, 2, 3)]
    table = example.collected(example.write(tmp_path, ("sft",), diverged=lost))
    found = front_measures.measure(table, Plan.of(example.settings(("sft",))), draws=20)
    assert isinstance(found, pd.DataFrame)
    assert any("to the end" in text for text in words(fronts.fronts(found)))
