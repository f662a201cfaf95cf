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

Its price is variance: one batch and draw is about one squared Gaussian, whatever the batch's size,
so the relative standard error of an entry is about sqrt(2 / (batches * draws)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

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


def estimate(context: Context, domain: str, kind: str, rows: int, draws: int) -> Diagonal:
    """Estimate the Fisher diagonal at the current weights on the first ``rows`` training rows.

    Args:
        context: of the run; the leaves are those of its method.
        domain: whose rows.
        kind: ``sampled`` (labels drawn from the model) or ``empirical`` (labels of the data).
        rows: how many training rows.
        draws: samples of the labels of each batch; only the true Fisher draws any.

    Returns:
        For each leaf a float32 tensor of its shape, in nats squared a token.
    """
    leaves = context.method.weight_delta_leaves(context.model)
    if kind == "empirical":
        found = empirical_fisher(context.model, leaves, _batches(context, domain, rows))
    else:
        device = next(context.model.parameters()).device
        source = generator(device, "fisher", context.seed, domain)
        batches = _batches(context, domain, rows)
        found = true_fisher(context.model, leaves, batches, draws, source)
    return {name: context.reduce(tensor) for name, tensor in found.items()}


def true_fisher(
    model: nn.Module,
    leaves: Mapping[str, nn.Parameter],
    batches: Iterable[Batch],
    draws: int,
    source: torch.Generator,
) -> Diagonal:
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
            logits = _logits(model, batch)
            for draw, labels in enumerate(_sample(logits.detach(), draws, source)):
                labels = labels.masked_fill(batch["labels"] == IGNORED, IGNORED)
                total.add(_summed_loss(logits, labels), keep_graph=draw + 1 < draws)
            total.tokens += draws * scored(batch["labels"])
    return total.mean()


def empirical_fisher(
    model: nn.Module, leaves: Mapping[str, nn.Parameter], batches: Iterable[Batch]
) -> Diagonal:
    """Average the squared gradients of the summed log-likelihood of each row, labels of the data.

    A sequence is a training row, with all the documents packed into it, and takes one backward
    pass; so the result depends on the length of a row, not on how rows are batched. The products of
    two tokens of a row stay in: unlike sampled labels, those of the data are correlated.
    """
    total = _Squares(leaves)
    with evaluating(model), differentiable(leaves.values()):
        for batch in batches:
            for index in range(len(batch["input_ids"])):
                row = {name: tensor[index : index + 1] for name, tensor in batch.items()}
                total.add(_summed_loss(_logits(model, row), row["labels"]))
                total.tokens += scored(row["labels"])
    return total.mean()


class _Squares:
    """A running sum of squared gradients, in float32 whatever the precision of the model."""

    def __init__(self, leaves: Mapping[str, nn.Parameter]):
        self.leaves = leaves
        self.sums = [torch.zeros_like(p, dtype=torch.float32) for p in leaves.values()]
        self.tokens = 0

    def add(self, loss: torch.Tensor, keep_graph: bool = False) -> None:
        """Add the squared gradient of a summed loss; ``.grad`` is left alone."""
        leaves = list(self.leaves.values())
        gradients = torch.autograd.grad(
            loss, leaves, retain_graph=keep_graph, allow_unused=True, materialize_grads=True
        )
        # Squared after the conversion: the squares of small gradients underflow in half precision.
        single = [gradient.float() for gradient in gradients]
        torch._foreach_addcmul_(self.sums, single, single)

    def mean(self) -> Diagonal:
        """Return the sums divided by the number of tokens, detached."""
        torch._foreach_div_(self.sums, max(self.tokens, 1))
        return dict(zip(self.leaves, (total.detach() for total in self.sums), strict=True))


def _batches(context: Context, domain: str, rows: int) -> Iterator[Batch]:
    for first in range(0, rows, context.batch_size):
        yield context.rows(domain, first, min(context.batch_size, rows - first))


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
