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

from collections.abc import Mapping
from typing import NamedTuple


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

    def __add__(self, other: Work) -> Work:
        """Return both together."""
        return Work(self.tokens + other.tokens, self.flops + other.flops)


def work(shape: Shape, tokens: int, forwards: int = 1, backwards: int = 1) -> Work:
    """Return the work of ``tokens`` that pass so often; a token counts once for each forward."""
    flops = tokens * (forwards * shape.forward + backwards * shape.backward)
    return Work(tokens * forwards, flops)


def task_work(
    shape: Shape, steps: int, rows: int, strategies: Mapping[str, Mapping], earlier: int
) -> Work:
    """Return the work of one task, with that of its strategies.

    Replay puts rows in the place of others and a joint run mixes them, so both cost nothing more;
    L2 adds no pass. GEM takes the gradient of ``batch_rows`` for each earlier domain at every step,
    A-GEM of ``batch_rows`` in all, EWC one forward and so many backward passes as draws over
    ``rows`` at the end of a task, to all weights; distillation one forward of the earlier model for
    every token.

    Args:
        shape: of the model and its rows.
        steps: optimiser steps of the task.
        rows: training rows of a step.
        strategies: their settings by key, as in ``continual``.
        earlier: domains that came before: 1 for the first task, whose base knows one.
    """
    length = shape.sequence_length
    total = work(shape, steps * rows * length)
    for key, settings in strategies.items():
        match key:
            case "gem":
                total += work(shape, steps * settings["batch_rows"] * length * earlier)
            case "agem":
                total += work(shape, steps * settings["batch_rows"] * length)
            case "ewc" | "online_ewc":
                total += fisher_work(shape, settings)
            case "distillation":
                total += work(shape, steps * rows * length, backwards=0)
    return total


def fisher_work(shape: Shape, settings: Mapping) -> Work:
    """Return the work of one Fisher diagonal: ``rows``, ``fisher`` and ``draws`` of EWC."""
    tokens = settings["rows"] * shape.sequence_length
    draws = settings["draws"] if settings["fisher"] == "sampled" else 1
    return Work(tokens, tokens * (shape.forward + draws * shape.full_backward))


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
