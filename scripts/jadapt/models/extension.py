"""Rows for new pieces of a vocabulary: means of the rows of the pieces that spelt them before."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def extend_embeddings(model: PreTrainedModel, old: int, spelt: list[list[int]]) -> None:
    """Append a row for each new piece to the input embedding, and to an output that is not tied.

    A table that is longer than the old vocabulary, as padded ones are, loses its padding first.

    Args:
        model: changed in place, its ``vocab_size`` too.
        old: size of the old vocabulary; new ids follow.
        spelt: for each new piece, the old ids that spelt it, at least one.
    """
    model.resize_token_embeddings(old + len(spelt), mean_resizing=False)
    tables = {
        table.weight.data_ptr(): table.weight
        for table in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    for weight in tables.values():
        for number, ids in enumerate(spelt):
            weight[old + number] = weight[ids].mean(dim=0)
