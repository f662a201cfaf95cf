"""Full fine-tuning (supervised fine-tuning on raw text): every parameter of the model trains."""

from __future__ import annotations

from jadapt.core.declarations import DDP, FSDP2, Look
from jadapt.methods.base import Method


class SFT(Method):
    """The empty method: the model as it is, all of it trainable."""

    key = "sft"
    label = "Full fine-tuning"
    family = "reference"
    order = 10
    look = Look("#111111", "o")
    summary = "Full fine-tuning: every parameter trains."
    paragraph = r"""
    *Full fine-tuning* trains every parameter on the loss of the next token. Without a strategy, it
    is the reference for the comparisons below.
    """
    parallelism = frozenset({DDP, FSDP2})
