"""The diagonal of the Fisher information of a causal language model, per token.

For the model p and a domain's contexts c, F_i = E_c E_{y ~ p(.|c)} [(d log p(y|c) / d theta_i)^2]
(Kirkpatrick et al., PNAS 2017; Martens, JMLR 2020, on what tells it from the empirical Fisher). The
contexts are those of the training data, teacher-forced; a token is one context with its label.

Why a batch needs one backward pass only. Given the contexts, the labels drawn from the model are
independent of each other, and the score s_t = d log p(y_t|c_t) / d theta has mean zero. So all
products of two tokens vanish in expectation, E (sum_t s_t)^2 = sum_t E s_t^2: the square of the
gradient of the *summed* log-likelihood is an unbiased estimate of the summed Fisher. It takes the
sum: the square of a mean's gradient is smaller by the number of tokens squared, and divided back by
that number once would still shrink F. And it takes sampled labels: the scores of the data's labels
have no mean of zero, and are correlated.

Its price is variance. One squared gradient is about F times a squared standard Gaussian, however
many rows it sums over, so an entry's relative standard error is about sqrt(2 / n) after n of them:
0.18 after 64, where the error of the labels is all there is. How many rows a gradient sums over is
a setting of its own, small, and no matter of how many fit on a device at once.

The error is measured: rows go to two halves in turn, and half the difference of their estimates is
an error of their mean (`Estimate.relative_error`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from jadapt.methods.continual.gradients import (
    IGNORED,
    differentiable,
    evaluating,
    generator,
    scored,
)
from jadapt.methods.strategy import Batch, Context

Diagonal = dict[str, torch.Tensor]


class Estimate(NamedTuple):
    """A Fisher diagonal, and how far off it is.

    Attributes:
        diagonal: for each leaf a float32 tensor of its shape, in nats squared a token.
        relative_error: the root mean square of (F1 - F2) / (F1 + F2) over all entries that are not
            zero in both, F1 and F2 being the estimates of two halves of the rows: sqrt(2 / n) for
            many squared gradients n, 1 where the halves have nothing in common.
    """

    diagonal: Diagonal
    relative_error: float


def estimate(
    context: Context, domain: str, kind: str, rows: int, draws: int, batch_rows: int = 1
) -> Estimate:
    """Estimate the Fisher diagonal at the current weights on the first ``rows`` training rows.

    The same for every ``batch_size`` of the context.

    Args:
        context: of the run; the leaves are those of its method.
        domain: whose rows.
        kind: ``sampled`` (labels drawn from the model) or ``empirical`` (labels of the data).
        rows: how many training rows.
        draws: samples of the labels of each batch; only the true Fisher draws any.
        batch_rows: rows that one squared gradient sums over; only in the true Fisher more than one.
    """
    leaves = context.method.weight_delta_leaves(context.model)
    batches = (
        context.rows(domain, first, min(batch_rows, rows - first))
        for first in range(0, rows, batch_rows)
    )
    if kind == "empirical":
        found = empirical_fisher(context.model, leaves, batches)
    else:
        device = next(context.model.parameters()).device
        source = generator(device, "fisher", context.seed, domain)
        found = true_fisher(context.model, leaves, batches, draws, source)
    reduced = {name: context.reduce(tensor) for name, tensor in found.diagonal.items()}
    return Estimate(reduced, found.relative_error)


def true_fisher(
    model: nn.Module,
    leaves: Mapping[str, nn.Parameter],
    batches: Iterable[Batch],
    draws: int,
    source: torch.Generator,
) -> Estimate:
    """Average the squared gradients of summed log-likelihoods of labels drawn from the model.

    Args:
        model: maps ``input_ids`` and ``position_ids`` of shape (B, T) to ``.logits`` (B, T, V).
        leaves: by name, the parameters to differentiate to; frozen ones too.
        batches: rows; their labels only tell which tokens are scored.
        draws: samples of the labels of each batch.
        source: generator of the samples, on the model's device.
    """
    total = _Squares(leaves)
    with evaluating(model), differentiable(leaves.values()):
        for batch in batches:
            total.turn()
            logits = _logits(model, batch)
            for draw, labels in enumerate(_sample(logits.detach(), draws, source)):
                labels = labels.masked_fill(batch["labels"] == IGNORED, IGNORED)
                total.add(_summed_loss(logits, labels), keep_graph=draw + 1 < draws)
            total.count(draws * scored(batch["labels"]))
    return total.estimate()


def empirical_fisher(
    model: nn.Module, leaves: Mapping[str, nn.Parameter], batches: Iterable[Batch]
) -> Estimate:
    """Average the squared gradients of the summed log-likelihood of each row, labels of the data.

    A sequence is a training row, with all the documents packed into it, and takes one backward
    pass; so the result depends on the length of a row, not on how rows are batched. The products of
    two tokens of a row stay in: unlike sampled labels, those of the data are correlated.
    """
    total = _Squares(leaves)
    with evaluating(model), differentiable(leaves.values()):
        for batch in batches:
            for index in range(len(batch["input_ids"])):
                total.turn()
                row = {name: tensor[index : index + 1] for name, tensor in batch.items()}
                total.add(_summed_loss(_logits(model, row), row["labels"]))
                total.count(scored(row["labels"]))
    return total.estimate()


class _Squares:
    """Running sums of squared gradients, in float32 whatever the precision of the model.

    Two of them, which batches go to in turn; all draws of a batch go to the same.
    """

    def __init__(self, leaves: Mapping[str, nn.Parameter]):
        self.leaves = leaves
        self.halves = [
            [torch.zeros_like(p, dtype=torch.float32) for p in leaves.values()] for _ in range(2)
        ]
        self.tokens = [0, 0]
        self.batches = 0

    def turn(self) -> None:
        """Begin with another batch."""
        self.batches += 1

    def add(self, loss: torch.Tensor, keep_graph: bool = False) -> None:
        """Add the squared gradient of a summed loss; ``.grad`` is left alone."""
        leaves = list(self.leaves.values())
        gradients = torch.autograd.grad(
            loss, leaves, retain_graph=keep_graph, allow_unused=True, materialize_grads=True
        )
        # Squared after the conversion: the squares of small gradients underflow in half precision.
        single = [gradient.float() for gradient in gradients]
        torch._foreach_addcmul_(self.halves[self.batches % 2], single, single)

    def count(self, tokens: int) -> None:
        """Count the tokens that were added of the batch."""
        self.tokens[self.batches % 2] += tokens

    def estimate(self) -> Estimate:
        """Return the sums divided by the number of tokens, detached, with their error."""
        error = self._error()
        sums, other = self.halves
        torch._foreach_add_(sums, other)
        self.halves = []
        torch._foreach_div_(sums, max(sum(self.tokens), 1))
        found = dict(zip(self.leaves, (total.detach() for total in sums), strict=True))
        return Estimate(found, error)

    def _error(self) -> float:
        if self.batches < 2:
            return math.nan
        scales = [max(tokens, 1) for tokens in self.tokens]
        squares = entries = 0.0
        for one, other in zip(*self.halves, strict=True):
            first, second = one / scales[0], other / scales[1]
            used = first + second > 0
            share = (first - second)[used] / (first + second)[used]
            squares += float(share.square().sum())
            entries += float(used.sum())
        return (squares / entries) ** 0.5 if entries else math.nan


def _logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    return model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits


def _summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def _sample(logits: torch.Tensor, draws: int, source: torch.Generator) -> torch.Tensor:
    """Draw labels for each token: (B, T, V) to (draws, B, T)."""
    # Row by row: a whole batch's probabilities over a large vocabulary take gigabytes.
    return torch.stack([_inverse(row, draws, source) for row in logits], dim=1)


def _inverse(logits: torch.Tensor, draws: int, source: torch.Generator) -> torch.Tensor:
    """Draw from each row's softmax by inverting its distribution: (T, V) to (draws, T).

    One random number a label, where `torch.multinomial` draws one for each vocabulary entry.
    """
    cumulative = logits.float().softmax(-1).cumsum(-1, dtype=torch.float64)
    drawn = torch.rand(
        len(logits), draws, generator=source, device=logits.device, dtype=torch.float64
    )
    # Rounding leaves the last sum, and so the number to look up, a little beside one.
    places = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True)
    return places.clamp_(max=logits.shape[-1] - 1).T
