"""Which documents of a domain are kept for pre-training, and which are left for everything else.

A base model may be pre-trained with a little text of a domain that runs are adapted to later. The
documents for that are set aside: no run, search, front or ablation draws them, and pre-training
draws no others of that domain.

They are the last ones of the training split. The order of a split is that of a hash of the text
(`jadapt.corpora.splits`), so both parts are unbiased samples, which no seed moves; translations of
one sentence stand together.
"""

from __future__ import annotations


def reserved(documents: int, share: float) -> range:
    """Return the indices of the documents of a training split that are kept for pre-training.

    Args:
        documents: how many the split has.
        share: of the documents, in [0, 1).
    """
    return range(documents - round(documents * share), documents)


def unreserved(documents: int, share: float) -> range:
    """Return the indices of all the other documents: those that runs may draw."""
    return range(reserved(documents, share).start)
