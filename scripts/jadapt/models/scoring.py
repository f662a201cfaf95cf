"""Negative log-likelihood of packed rows, as training and evaluation both report it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from jadapt.data.evaluation_rows import UNSCORED


def batches(rows: Iterable[dict[str, np.ndarray]], size: int) -> Iterator[dict[str, np.ndarray]]:
    """Stack rows of shape (T,) into batches of shape (size, T); the last may be smaller."""
    pending: list[dict[str, np.ndarray]] = []
    for row in rows:
        pending.append(row)
        if len(pending) == size:
            yield {key: np.stack([item[key] for item in pending]) for key in row}
            pending = []
    if pending:
        yield {key: np.stack([item[key] for item in pending]) for key in pending[0]}


@torch.no_grad()
def score(model: PreTrainedModel, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Score one batch.

    Args:
        model: a causal language model; its device is used.
        batch: ``input_ids``, ``labels`` (-100 where nothing is scored) and ``position_ids``,
            each of shape (B, T). Positions restart at every document, so that the model's mask
            keeps documents of one row apart.

    Returns:
        The negative log-likelihood of each label in nats (0 where nothing is scored), float64,
        and the most probable token at each position, int64; both of shape (B, T).
    """
    device = next(model.parameters()).device
    tensors = {
        key: torch.as_tensor(batch[key], device=device)
        for key in ("input_ids", "labels", "position_ids")
    }
    labels = tensors.pop("labels")
    logits = model(**tensors).logits.float()
    loss = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=UNSCORED, reduction="none"
    )
    return (
        loss.view_as(labels).double().cpu().numpy(),
        logits.argmax(dim=-1).cpu().numpy(),
    )


def mean_loss(
    model: PreTrainedModel, rows: Iterable[dict[str, np.ndarray]], batch_size: int
) -> float:
    """Return the mean negative log-likelihood over ``rows`` in nats per token.

    The model's training mode is restored afterwards.
    """
    training = model.training
    model.eval()
    total, count = 0.0, 0
    try:
        for batch in batches(rows, batch_size):
            loss, _ = score(model, batch)
            total += float(loss.sum())
            count += int((batch["labels"] != UNSCORED).sum())
    finally:
        model.train(training)
    return total / count
