from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jadapt.data.mixing import Interleaved, MixedStream, Repeated


class Numbers:
    """A stream whose rows are their own names."""

    def __init__(self, name):
        self.name = name

    def row(self, index):
        return (self.name, index)


@given(percent=st.integers(0, 100), count=st.integers(0, 500))
def test_both_streams_are_read_in_order_and_in_proportion(percent, count):
    mixed = MixedStream(Numbers("main"), Numbers("other"), percent / 100)
    rows = [mixed.row(index) for index in range(count)]
    others = [index for name, index in rows if name == "other"]
    mains = [index for name, index in rows if name == "main"]
    assert others == list(range(count * Fraction(percent, 100) // 1))
    assert mains == list(range(count - len(others)))


def test_the_other_rows_are_spread_evenly():
    mixed = MixedStream(Numbers("main"), Numbers("other"), 0.25)
    names = [mixed.row(index)[0] for index in range(400)]
    assert all(names[start : start + 4].count("other") == 1 for start in range(0, 400, 4))


def test_a_share_is_between_nothing_and_all():
    with pytest.raises(ValueError, match=r"share 1\.5 is outside"):
        MixedStream(Numbers("main"), Numbers("other"), 1.5)


@given(streams=st.integers(1, 5), count=st.integers(0, 100))
def test_interleaved_streams_take_turns_and_lose_nothing(streams, count):
    mixed = Interleaved([Numbers(n) for n in range(streams)])
    assert [mixed.row(i) for i in range(count)] == [divmod(i, streams)[::-1] for i in range(count)]


def test_a_memory_is_read_over_and_over():
    memory = Repeated(Numbers("main"), 3)
    assert [memory.row(index)[1] for index in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_nothing_to_interleave_or_to_repeat_is_an_error():
    with pytest.raises(ValueError, match="no streams"):
        Interleaved([])
    with pytest.raises(ValueError, match="0 rows"):
        Repeated(Numbers("main"), 0)
