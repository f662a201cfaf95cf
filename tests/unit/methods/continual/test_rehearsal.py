"""Replay and joint training: which rows a task sees."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jadapt.core.errors import UserError
from jadapt.methods.continual.gem import AGEM
from jadapt.methods.continual.rehearsal import Joint, Replay


class Numbers:
    def __init__(self, name):
        self.name = name

    def row(self, index):
        return (self.name, index)


def rows(strategy, count, earlier=("known", "first")):
    current, past = Numbers("task"), [Numbers(name) for name in earlier]
    every = [*past, current, Numbers("later")]
    stream = strategy.mix(current, past, every)
    return [stream.row(index) for index in range(count)]


@given(percent=st.integers(0, 100), memory=st.integers(1, 20), count=st.integers(0, 300))
def test_the_replayed_share_is_counted_and_stays_within_the_memory(percent, memory, count):
    found = rows(Replay({"ratio": percent / 100, "memory_rows": memory}), count)
    replayed = [row for row in found if row[0] != "task"]
    assert len(replayed) == count * percent // 100
    assert all(index < memory for _, index in replayed)
    # The task's own rows come in their order, without a gap.
    assert [index for name, index in found if name == "task"] == list(range(count - len(replayed)))
    parts = Counter(name for name, _ in replayed)
    assert abs(parts["known"] - parts["first"]) <= 1


def test_joint_training_gives_every_domain_the_same_share():
    found = rows(Joint({}), 400)
    assert Counter(name for name, _ in found) == dict.fromkeys(
        ["known", "first", "task", "later"], 100
    )
    assert [index for name, index in found if name == "later"] == list(range(100))


RUN = {"steps": 4, "global_batch_size": 5, "sequence": ["first", "second"]}


def test_a_memory_larger_than_a_domain_is_refused():
    strategy = Replay({"ratio": 0.25, "memory_rows": 11})
    strategy.check({"known": 20, "first": 11}, RUN)
    with pytest.raises(
        UserError, match=r"memory_rows: 11 is more than the 10 training rows of 'first'"
    ):
        strategy.check({"known": 20, "first": 10}, RUN)


@pytest.mark.parametrize(("kind", "seen"), [(Replay, 15), (AGEM, 20)])
def test_a_memory_larger_than_what_the_run_has_seen_is_refused(kind, seen):
    """Of twenty rows a quarter are replayed."""
    own = {"ratio": 0.25} if kind is Replay else {"batch_rows": 4}
    rows = dict.fromkeys(["known", "first", "second"], 100)
    settings = RUN | {"continual": {kind.key: own}}
    kind({**own, "memory_rows": seen}).check(rows, settings)
    larger = kind({**own, "memory_rows": seen + 1})
    with pytest.raises(
        UserError,
        match=rf"^continual\.{kind.key}\.memory_rows: {seen + 1} is more than the {seen} rows of "
        "'first' that the run trains on",
    ):
        larger.check(rows, settings)
    # With one task nothing but the source domain is remembered, which was learned before.
    larger.check(rows, settings | {"sequence": ["first"]})
