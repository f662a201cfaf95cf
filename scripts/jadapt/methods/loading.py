"""Read for evaluation whatever a run left behind: a whole checkpoint, or an adapter."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from jadapt.core.errors import UserError
from jadapt.core.files import read_json
from jadapt.methods.base import Method
from jadapt.methods.peft.adapter_files import DESCRIPTION, PEFT_CONFIG, PEFT_WEIGHTS
from jadapt.models.loading import checkpoint


def load(directory: Path, base: Path) -> tuple[PreTrainedModel, Method | None]:
    """Load the model of ``directory`` in float32.

    Args:
        directory: a Hugging Face checkpoint, an adapter in PEFT's format, or one with the
            description of `adapter_files`.
        base: the checkpoint that an adapter belongs to; unused for a whole model.

    Returns:
        The model in evaluation mode, the key-value cache off, and the method that its adapter
        belongs to; None where the model needs none, being whole or merged with its adapter.

    Raises:
        UserError: there is no model in the folder, or its adapter does not fit the base.
    """
    method = None
    if (directory / PEFT_CONFIG).exists():
        from peft import PeftModel

        # Without it PEFT would look for a pickled file.
        if not (directory / PEFT_WEIGHTS).is_file():
            raise UserError(f"{directory / PEFT_WEIGHTS}: no such file; delete the folder")
        # PEFT's own loader, so that what is evaluated is what any user of the adapter gets.
        model = PeftModel.from_pretrained(checkpoint(base), directory).merge_and_unload()
    elif (directory / DESCRIPTION).exists():
        # The registry imports every method, this module's own callers among them.
        from jadapt.methods import registry

        description = read_json(directory / DESCRIPTION)
        method = registry.create(description["method"], description["settings"])
        model = checkpoint(base)
        method.apply(model)
        method.restore(model, directory)
    else:
        model = checkpoint(directory)
    model.config.use_cache = False
    return model.eval(), method
