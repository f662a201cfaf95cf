"""Text that a language model writes by itself: a memory of what it knows, without old text.

Sampled from the start of a document at temperature 1, the texts follow the model's own
distribution; trained on beside a new task, they hold the model near it (self-generated replay).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from transformers import GenerationConfig, PreTrainedModel

from jadapt.core import seeds
from jadapt.tokenization.tokenizers import Tokenizer


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    tokens: int,
    length: int,
    seed: int,
    batch_size: int = 64,
    temperature: float = 1.0,
) -> Iterator[str]:
    """Yield sampled documents, without empty ones, until they hold so many tokens.

    Args:
        model: a causal language model; its device is used.
        tokenizer: the model's.
        tokens: how many are wanted in all; the last batch may bring some more.
        length: tokens of a document at most; one that is not at its end by then is cut.
        seed: of the study's base model; equal seeds and sizes give equal texts.
        batch_size: documents sampled at a time; part of what decides the texts.
        temperature: of the distribution; 1 is the model's own.
    """
    model.eval()
    device = next(model.parameters()).device
    settings = GenerationConfig(
        do_sample=True,
        temperature=temperature,
        top_k=0,
        top_p=1.0,
        max_new_tokens=length,
        bos_token_id=tokenizer.start_id,
        eos_token_id=tokenizer.end_id,
        pad_token_id=tokenizer.pad_id if tokenizer.pad_id is not None else tokenizer.end_id,
        use_cache=True,
    )
    start = torch.full((batch_size, 1), tokenizer.start_id, device=device)
    mask = torch.ones_like(start)
    written = batch = 0
    while written < tokens:
        torch.manual_seed(seeds.stream("generation", seed, batch))
        sampled = model.generate(start, attention_mask=mask, generation_config=settings)
        batch += 1
        for row in sampled[:, 1:].tolist():
            document = row[: row.index(tokenizer.end_id)] if tokenizer.end_id in row else row
            text = tokenizer.decode(document).strip()
            written += len(document)
            if text:
                yield text
