"""Seeds of unlike purposes are those of unlike streams."""

import itertools

import pytest

from jadapt.core import seeds


def test_no_two_streams_of_a_study_are_the_same():
    keys = [
        *(("task", place) for place in range(6)),
        *(("rows", domain) for domain in ("english", "everyday", "cloud", "devdocs")),
        *(("joint", place, domain) for place in range(6) for domain in ("english", "everyday")),
        ("mixture", "everyday"),
    ]
    found = [
        seeds.stream(role, seed, *key)
        for role, seed, key in itertools.product(seeds.ROLES, range(20), keys)
    ]
    assert len(set(found)) == len(found)


def test_a_stream_depends_on_its_names_alone():
    assert seeds.stream("task", 1, "rows", "cloud") == seeds.stream("task", 1, "rows", "cloud")
    assert seeds.stream("task", 1, "a") != seeds.stream("task", 1, "b")
    # Names do not run into each other.
    assert seeds.stream("task", 1, 11) != seeds.stream("task", 11, 1)
    assert all(0 <= seeds.stream("front", seed) < 2**31 for seed in range(100))


def test_an_unknown_role_is_a_mistake():
    with pytest.raises(ValueError, match="role 'tusk'"):
        seeds.stream("tusk", 1)
