"""Embeddings of new vocabulary pieces: the mean of the embeddings that spelt them before."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def extend_embeddings(model: PreTrainedModel, old: int, spelt: list[list[int]]) -> None:
    """Append one row per new piece to the input embedding, and to the output layer unless tied.

    A matrix with more rows than the old vocabulary (padding) is first cut to its size.

    Args:
        model: changed in place, including its ``vocab_size``.
        old: size of the old vocabulary; the new ids follow.
        spelt: for each new piece, the old ids that spell it (at least one).
    """
    model.resize_token_embeddings(old + len(spelt), mean_resizing=False)
    tables = {
        table.weight.data_ptr(): table.weight
        for table in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    for weight in tables.values():
        for number, ids in enumerate(spelt):
            weight[old + number] = weight[ids].mean(dim=0)
