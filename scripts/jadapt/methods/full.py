"""Full fine-tuning (supervised fine-tuning on raw text): every parameter of the model trains."""

from __future__ import annotations

from jadapt.methods.base import Method


class SFT(Method):
    """The empty method: the model as it is, all of it trainable."""

    key = "sft"
