"""The documents that are set aside for pre-training."""

import pytest

from jadapt.data.partition import reserved, unreserved


@pytest.mark.parametrize("share", [0, 0.1, 1 / 3, 0.5, 0.999])
@pytest.mark.parametrize("documents", [0, 1, 7, 1000])
def test_the_parts_are_the_whole_and_share_nothing(documents, share):
    kept, left = reserved(documents, share), unreserved(documents, share)
    assert [*left, *kept] == list(range(documents))
    assert abs(len(kept) - documents * share) <= 0.5
