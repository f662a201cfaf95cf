"""Packing: every slot once, no label across documents, random access; and evaluation rows."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import token_files
from jadapt.core.errors import UserError
from jadapt.data.evaluation_rows import UNSCORED, evaluation_documents, evaluation_rows
from jadapt.data.loading import PackedRows, RowsFrom
from jadapt.data.packing import PackedStream
from jadapt.data.tokens import TokenFile

START, END = 1, 2
FIRST = 10  # the first token that is no special one


def write_tokens(directory: Path, documents: list[list[int]]) -> TokenFile:
    token_files.write(directory, documents, "uint32")
    return TokenFile(directory)


def numbered(lengths: list[int]) -> list[list[int]]:
    """Return documents of these lengths, in which every token has a number of its own."""
    bounds = np.cumsum([FIRST, *lengths])
    return [list(range(a, b)) for a, b in pairwise(bounds)]


def token_file(lengths: list[int]) -> TokenFile:
    return write_tokens(Path(tempfile.mkdtemp(dir=token_file.root)), numbered(lengths))


@pytest.fixture(autouse=True, scope="module")
def root(tmp_path_factory):
    token_file.root = tmp_path_factory.mktemp("tokens")


LENGTHS = st.lists(st.integers(0, 40), max_size=25)


@settings(deadline=None)
@given(lengths=LENGTHS, length=st.integers(1, 16), seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_slot_once_but_the_dropped_tail(lengths, length, seed, epoch):
    slots = sum(lengths) + len(lengths)
    tokens = token_file(lengths)
    if slots < length:
        with pytest.raises(UserError, match="sequence_length"):
            PackedStream(tokens, length, seed, START, END)
        return
    stream = PackedStream(tokens, length, seed, START, END)
    assert stream.rows_per_epoch == slots // length
    first = epoch * stream.rows_per_epoch
    rows = [stream.row(first + index) for index in range(stream.rows_per_epoch)]
    found = [pair for row in rows for pair in zip(row["input_ids"], row["labels"], strict=True)]
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(len(lengths))
    expected = []
    for document in order:
        text = numbered(lengths)[document]
        expected += zip([START, *text], [*text, END], strict=True)
    assert found == expected[: len(found)]
    assert slots - len(found) < length


@given(lengths=LENGTHS.filter(len), data=st.data())
@settings(deadline=None)
def test_only_the_documents_that_may_be_drawn_are_drawn(lengths, data):
    start = data.draw(st.integers(0, len(lengths) - 1))
    part = range(start, data.draw(st.integers(start + 1, len(lengths))))
    stream = PackedStream(token_file(lengths), 1, 0, START, END, part)
    rows = [stream.row(index) for index in range(2 * stream.rows_per_epoch)]
    found = [int(row["labels"][0]) for row in rows]
    allowed = [token for number in part for token in [*numbered(lengths)[number], END]]
    assert sorted(found) == sorted(2 * allowed)


@settings(deadline=None)
@given(lengths=LENGTHS.filter(sum), length=st.integers(1, 16))
def test_positions_restart_with_documents_and_rows(lengths, length):
    tokens = token_file(lengths)
    stream = PackedStream(tokens, min(length, sum(lengths)), 0, START, END)
    for index in range(stream.rows_per_epoch):
        row = stream.row(index)
        expected = []
        for place, token in enumerate(row["input_ids"]):
            expected.append(0 if place == 0 or token == START else expected[-1] + 1)
        assert row["position_ids"].tolist() == expected


def test_rows_are_int64_and_depend_on_nothing_but_their_index():
    stream = PackedStream(token_file([5, 0, 9, 3, 12, 7]), 8, 3, START, END)
    rows = [stream.row(index) for index in range(20)]
    assert all(array.dtype == np.int64 and array.shape == (8,) for array in rows[0].values())
    fresh = PackedStream(token_file([5, 0, 9, 3, 12, 7]), 8, 3, START, END)
    for index in (17, 3, 0, 11, 19):
        for name, array in fresh.row(index).items():
            assert (array == rows[index][name]).all()
    with pytest.raises(IndexError):
        stream.row(-1)


def test_seeds_and_epochs_have_orders_of_their_own():
    tokens = token_file([6] * 40)
    streams = [PackedStream(tokens, 7, seed, START, END) for seed in (0, 1)]
    orders = {
        tuple(int(stream.row(epoch * 40 + i)["labels"][0]) for i in range(40))
        for stream in streams
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_a_domain_shorter_than_a_row_is_named():
    tokens = token_file([3, 3])
    with pytest.raises(UserError, match=f"{tokens.directory}: 6 tokens .* sequence_length 9"):
        PackedStream(tokens, 9, 0, START, END)
    with pytest.raises(UserError, match="sequence_length: expected at least 1"):
        PackedStream(tokens, 0, 0, START, END)
    assert PackedStream(tokens, 8, 0, START, END).rows_per_epoch == 1
    with pytest.raises(UserError, match=r"(?s)3 tokens in 1 documents .*\.reserved_share"):
        PackedStream(tokens, 8, 0, START, END, range(1, 2))
    with pytest.raises(UserError, match="0 tokens in 0 documents"):
        PackedStream(tokens, 8, 0, START, END, range(2, 2))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_loader_processes_keep_the_order_and_a_resumed_run_goes_on(workers):
    stream = PackedStream(token_file([5, 0, 9, 3, 12, 7] * 3), 8, 3, START, END)
    loader = DataLoader(
        PackedRows(stream, 24), sampler=RowsFrom(4, 24), batch_size=4, num_workers=workers
    )
    # Lightning counts the batches of the attempts before, so the length is that of the whole run.
    assert len(loader) == 6
    batches = list(loader)
    assert len(batches) == 5
    for batch, step in zip(batches, range(1, 6), strict=True):
        expected = np.stack([stream.row(4 * step + place)["labels"] for place in range(4)])
        assert batch["labels"].dtype == torch.int64
        assert (batch["labels"].numpy() == expected).all()


def test_packed_rows_has_bounds():
    stream = PackedStream(token_file([20]), 8, 0, START, END)
    rows = PackedRows(stream, 3)
    assert len(list(rows)) == len(rows) == 3
    with pytest.raises(IndexError):
        rows[3]
    assert list(RowsFrom(1, 3)) == [1, 2]
    with pytest.raises(ValueError, match="rows 5 to 2"):
        RowsFrom(5, 2)


@settings(deadline=None)
@given(lengths=LENGTHS, length=st.integers(1, 16), end=st.sampled_from([None, END]))
def test_evaluation_scores_every_token_once_in_order(lengths, length, end):
    rows = list(evaluation_rows(token_file(lengths), length, start_id=START, end_id=end))
    scored = {index: [] for index in range(len(lengths))}
    for row in rows:
        assert all(array.shape == (length,) for array in row.values())
        assert ((row["labels"] == UNSCORED) == (row["document"] == -1)).all()
        for document, label in zip(row["document"], row["labels"], strict=True):
            if document >= 0:
                scored[document].append(label)
    tail = [] if end is None else [end]
    assert list(scored.values()) == [document + tail for document in numbered(lengths)]


@settings(deadline=None)
@given(lengths=LENGTHS, length=st.integers(1, 16))
def test_evaluation_gives_each_token_its_document_as_context(lengths, length):
    documents = numbered(lengths)
    for row in evaluation_rows(token_file(lengths), length, start_id=START):
        for place in range(length):
            position, document = row["position_ids"][place], row["document"][place]
            begin = place - position
            assert position == 0 or row["position_ids"][place - 1] == position - 1
            assert (row["document"][begin : place + 1] == document).all()
            if document == -1:
                assert row["input_ids"][place] == START
                continue
            # The label's index in its document says how much of it may be seen at most.
            index = int(row["labels"][place]) - documents[document][0]
            assert position == index % length
            seen = [START, *documents[document]][index - position : index + 1]
            assert row["input_ids"][begin : place + 1].tolist() == seen


def test_a_long_document_is_windowed_with_one_token_of_overlap():
    rows = list(evaluation_rows(token_file([5]), 3, start_id=START))
    assert [row["input_ids"].tolist() for row in rows] == [[1, 10, 11], [12, 13, 1]]
    assert [row["labels"].tolist() for row in rows] == [[10, 11, 12], [13, 14, -100]]
    assert [row["position_ids"].tolist() for row in rows] == [[0, 1, 2], [0, 1, 0]]
    assert [row["document"].tolist() for row in rows] == [[0, 0, 0], [0, 0, -1]]


def test_evaluation_rows_are_well_filled():
    lengths = np.random.default_rng(0).integers(1, 60, 2000).tolist()
    rows = list(evaluation_rows(token_file(lengths), 64, start_id=START))
    assert sum(lengths) / (64 * len(rows)) > 0.95


def test_evaluation_takes_a_prefix_of_documents():
    tokens = token_file([4, 0, 6, 5])
    counts = [evaluation_documents(tokens, maximum) for maximum in (0, 3, 4, 9, 10, 15, 99, None)]
    assert counts == [1, 1, 2, 2, 3, 4, 4, 4]
    rows = evaluation_rows(tokens, 8, 10, start_id=START)
    assert {int(d) for row in rows for d in row["document"]} == {-1, 0, 2}
    assert evaluation_documents(token_file([]), 10) == 0
    assert list(evaluation_rows(token_file([]), 8, 10, start_id=START)) == []
