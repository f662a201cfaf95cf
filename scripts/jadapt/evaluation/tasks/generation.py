"""Greedy generation for a batch of prompts of different lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import DynamicCache, PreTrainedModel


@torch.no_grad()
def greedy(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    steps: int,
    *,
    end: int,
    done: Callable[[int, list[int]], bool],
    cached: bool,
) -> list[list[int]]:
    """Return the most probable next tokens of each prompt, at most ``steps`` of them.

    Args:
        model: a causal language model; its device is used.
        prompts: token ids; none is empty.
        steps: longest answer.
        end: id of the token that ends an answer, which is left out of it.
        done: whether an answer, given by row and tokens, needs no more of them.
        cached: whether keys and values are kept from step to step. Prompts are padded on the left
            then, and hidden by a mask; otherwise whole texts are read at every step, padded on the
            right. The answers are the same.
    """
    step = _Cached(model, prompts) if cached else _Whole(model, prompts)
    answers: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    for _ in range(steps):
        chosen = step.logits().argmax(dim=-1).tolist()
        for row in sorted(open_rows):
            if chosen[row] != end:
                answers[row].append(chosen[row])
            if chosen[row] == end or done(row, answers[row]):
                open_rows.discard(row)
        if not open_rows:
            break
        step.append(chosen)
    return answers


class _Whole:
    """Reads all of every text at every step."""

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]]) -> None:
        self.model, self.rows = model, [list(prompt) for prompt in prompts]
        self.device = next(model.parameters()).device

    def logits(self) -> torch.Tensor:
        """Return those of the next token, of shape (rows, V)."""
        lengths = torch.tensor([len(row) for row in self.rows], device=self.device)
        width = int(lengths.max())
        inputs = torch.tensor(
            [row + [0] * (width - len(row)) for row in self.rows], device=self.device
        )
        positions = torch.arange(width, device=self.device).expand_as(inputs)
        logits = self.model(input_ids=inputs, position_ids=positions, use_cache=False).logits
        return logits[torch.arange(len(self.rows), device=self.device), lengths - 1]

    def append(self, tokens: list[int]) -> None:
        """Add a token to every text."""
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(token)


class _Cached:
    """Reads the prompts once and then one token a step."""

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]]) -> None:
        self.model, self.cache = model, DynamicCache()
        device = next(model.parameters()).device
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        self.inputs = torch.tensor(
            [[0] * n + prompt for n, prompt in zip(padding, prompts, strict=True)], device=device
        )
        self.mask = torch.tensor([[0] * n + [1] * (width - n) for n in padding], device=device)
        self.positions = (self.mask.cumsum(dim=1) - 1).clamp(min=0)

    def logits(self) -> torch.Tensor:
        """Return those of the next token, of shape (rows, V)."""
        output = self.model(
            input_ids=self.inputs,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        return output.logits[:, -1]

    def append(self, tokens: list[int]) -> None:
        """Add a token to every text."""
        self.inputs = torch.tensor(tokens, device=self.mask.device)[:, None]
        self.mask = torch.cat([self.mask, torch.ones_like(self.inputs)], dim=1)
        self.positions = self.positions[:, -1:] + 1
