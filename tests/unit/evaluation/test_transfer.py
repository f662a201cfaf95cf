"""Measures of continual learning against matrices that were worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jadapt.core.tables import METRICS
from jadapt.evaluation import transfer
from jadapt.evaluation.metrics.sequence import (
    AverageBitsPerByte,
    BackwardTransfer,
    ForwardTransfer,
)

# Rows: before, after a, after b, after c. Columns: losses on a, b, c.
MATRIX = np.array([[5.0, 6.0, 8.0], [2.0, 5.5, 7.0], [2.5, 3.0, 6.5], [3.0, 3.25, 4.0]])
TASKS = ["a", "b", "c"]


def measured(metric, matrix):
    value, _ = metric().value(matrix)
    return value


def rows(matrix=MATRIX, tasks=TASKS, method="sft", seed=1):
    """The measurements that such a matrix comes from, the base model's first."""
    found = []
    for stage, line in zip(["known", *tasks], matrix, strict=True):
        who = ("base", 1) if stage == "known" else (method, seed)
        for task, value in zip(tasks, line, strict=True):
            found.append(("s", *who, stage, task, "bits_per_byte", value, "bit/byte", 10))
    return pd.DataFrame(found, columns=list(METRICS.header))


def test_measures_of_a_matrix_worked_out_by_hand():
    assert measured(AverageBitsPerByte, MATRIX) == pytest.approx((3 + 3.25 + 4) / 3)
    # a went from 2 to 3 and b from 3 to 3.25 by the end: both were forgotten.
    assert measured(BackwardTransfer, MATRIX) == pytest.approx((-1 - 0.25) / 2)
    # Before b was trained it had gone from 6 to 5.5, and c from 8 to 6.5: both were helped.
    assert measured(ForwardTransfer, MATRIX) == pytest.approx((0.5 + 1.5) / 2)


def test_rows_hold_the_measures_with_their_divisors():
    found = transfer.transfer_rows(rows(), "known").set_index("metric")
    assert found["n"].to_dict() == {
        "average_bits_per_byte": 3, "backward_transfer": 2, "forward_transfer": 2,
    }  # fmt: skip
    assert found["value"].tolist() == pytest.approx([10.25 / 3, -0.625, 1.0])
    assert set(found["trained_through"]) == {"c"}
    assert set(found["evaluated_on"]) == {"sequence"}
    assert set(found["unit"]) == {"bit/byte"}


def test_one_task_has_an_average_and_no_transfer():
    matrix = MATRIX[:2, :1]
    found = transfer.transfer_rows(rows(matrix, ["a"]), "known")
    assert found[["metric", "value"]].values.tolist() == [["average_bits_per_byte", 2.0]]
    for measure in (BackwardTransfer, ForwardTransfer):
        with pytest.raises(ValueError, match="two tasks"):
            measured(measure, matrix)


def test_every_method_and_seed_has_its_own_matrix():
    other = rows(MATRIX + 1, method="lora", seed=2)
    table = pd.concat([rows(), other[other["method"] != "base"]])
    found = transfer.transfer_rows(table, "known")
    values = found.pivot(index="metric", columns=["method", "seed"], values="value")
    shift = values["lora", 2] - values["sft", 1]
    # The same base model, a bit more everywhere else: only what compares with the base moves.
    expected = {"average_bits_per_byte": 1, "backward_transfer": 0, "forward_transfer": -1}
    assert shift.to_dict() == pytest.approx(expected)


def test_a_method_of_one_stage_has_no_transfer():
    single = rows(method="joint")
    single = single[single["trained_through"] == "c"]
    found = transfer.transfer_rows(pd.concat([single, rows()]), "known")
    assert found[found["method"] == "joint"]["metric"].tolist() == ["average_bits_per_byte"]
    assert len(found) == 4


def test_a_diverged_stage_is_not_passed_over():
    broken = rows()
    stage = (broken["trained_through"] == "b") & (broken["evaluated_on"] == "b")
    broken.loc[stage, "value"] = math.nan
    found = transfer.transfer_rows(broken, "known").set_index("metric")["value"]
    assert math.isnan(found["backward_transfer"])
    assert found["forward_transfer"] == pytest.approx(1.0)


def test_other_metrics_and_domains_do_not_count():
    more = rows()
    extra = more.assign(evaluated_on="elsewhere", value=99.0)
    perplexity = more.assign(metric="perplexity", value=99.0)
    found = transfer.transfer_rows(pd.concat([more, extra, perplexity]), "known")
    pd.testing.assert_frame_equal(found, transfer.transfer_rows(more, "known"))


def test_a_base_model_alone_has_no_rows():
    assert transfer.transfer_rows(rows().query("method == 'base'"), "known").empty


MATRICES = st.integers(2, 5).flatmap(
    lambda tasks: arrays(float, (tasks + 1, tasks), elements=st.floats(0.5, 9, width=16))
)


@given(MATRICES)
def test_measures_agree_with_their_sums(matrix):
    tasks = matrix.shape[1]
    backward = sum(matrix[j, j - 1] - matrix[tasks, j - 1] for j in range(1, tasks))
    forward = sum(matrix[0, j - 1] - matrix[j - 1, j - 1] for j in range(2, tasks + 1))
    assert measured(AverageBitsPerByte, matrix) == pytest.approx(sum(matrix[tasks]) / tasks)
    assert measured(BackwardTransfer, matrix) == pytest.approx(backward / (tasks - 1), abs=1e-9)
    assert measured(ForwardTransfer, matrix) == pytest.approx(forward / (tasks - 1), abs=1e-9)


@given(MATRICES, st.floats(-1, 1))
def test_transfer_does_not_see_the_level_of_a_task(matrix, shift):
    moved = matrix.copy()
    moved[:, 0] += shift
    for measure in (BackwardTransfer, ForwardTransfer):
        assert measured(measure, moved) == pytest.approx(measured(measure, matrix), abs=1e-9)
