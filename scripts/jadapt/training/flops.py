"""Floating-point operations of a run, by formula.

Counted are the products of matrices, two operations for a product and its sum: with N weights in
the products of one token (the output layer among them, the look-up of the embedding not), L layers
of width d and rows of T tokens,

- forward: 2 N and, for the scores and the mixtures of attention, 2 L d T, on average half of the
  row being visible to a token;
- backward: to the activations as much again, and to the weights that train as much again for these
  and for attention: 6 N + 12 L d T / 2 in all for full fine-tuning, about 4 N + 12 L d T / 2 where
  the base is frozen (Kaplan et al. 2020, section 2.1).

Not counted: norms, activations, the softmax, optimisers and penalties, whose cost does not grow
with both width and depth; documents that are packed into one row and do not see each other; what a
kernel computes again. A frozen base is taken to have something that trains in its lowest layer.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from jadapt.methods.strategy import Cost


class Shape(NamedTuple):
    """What a pass costs depends on: sizes of the model and of a row.

    ``weights`` are in matrix products and belong to the base, the output layer counted once whether
    tied or not; ``added`` are those of adapters; ``width`` is heads times their size.
    """

    weights: int
    layers: int
    width: int
    sequence_length: int
    added: int = 0
    frozen: bool = False

    @property
    def attention(self) -> int:
        """Operations of attention of one token, forward."""
        return 2 * self.layers * self.width * self.sequence_length

    @property
    def forward(self) -> int:
        """Operations of one token, forward."""
        return 2 * (self.weights + self.added) + self.attention

    @property
    def backward(self) -> int:
        """Operations of one token, backward."""
        base = 2 if self.frozen else 4
        return base * self.weights + 4 * self.added + 2 * self.attention

    @property
    def full_backward(self) -> int:
        """The same to all weights, whatever trains."""
        return self._replace(frozen=False).backward


class Work(NamedTuple):
    """Tokens that were processed, the passes of all kinds counted, and the operations."""

    tokens: int
    flops: int

    def __add__(self, other: Work) -> Work:  # type: ignore[override]
        """Return both together."""
        return Work(self.tokens + other.tokens, self.flops + other.flops)


def work(shape: Shape, tokens: int, forwards: int = 1, backwards: int = 1) -> Work:
    """Return the work of ``tokens`` that pass so often; a token counts once for each forward."""
    flops = tokens * (forwards * shape.forward + backwards * shape.backward)
    return Work(tokens * forwards, flops)


def task_work(shape: Shape, steps: int, rows: int, costs: Iterable[Cost], noted: int = 1) -> Work:
    """Return the work of one task, with that of its strategies.

    Args:
        shape: of the model and its rows.
        steps: optimiser steps of the task.
        rows: training rows of a step.
        costs: what the strategies declare (`Strategy.cost`) of a task with so many before it.
        noted: domains that are noted with it: its own, and the source domain with the first task's.
    """
    length = shape.sequence_length
    total = work(shape, steps * rows * length)
    for cost in costs:
        total += work(shape, steps * cost.rows_per_step * length)
        total += work(shape, steps * rows * length, cost.forwards_per_step, backwards=0)
        tokens = noted * cost.rows_at_end * length
        total += Work(
            tokens, tokens * (shape.forward + cost.backwards_at_end * shape.full_backward)
        )
    return total


def matrix_weights(parameters: int, vectors: int, embedding: int, tied: bool) -> int:
    """Return the weights of a model that are in matrix products.

    Args:
        parameters: all of the model's, tied ones once.
        vectors: those of norms and biases.
        embedding: those of the input embedding, which is only looked up unless it is tied to the
            output layer.
        tied: whether it is.
    """
    return parameters - vectors - (0 if tied else embedding)
