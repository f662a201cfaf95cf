"""What methods share that freeze the model and train a part of its parameters, or further ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jadapt.methods.base import Method
from jadapt.methods.peft import adapter_files

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from jadapt.methods.base import Transform


class Adapter(Method):
    """A method that is all in `apply`: it freezes the model and says in place what trains.

    What trains is kept with a description (`adapter_files`), without the weights of the base.
    """

    def transform(self) -> Transform:
        """Return the NeMo transform that does what `apply` does."""
        from jadapt.methods.parameters import nemo_transform

        return nemo_transform(self.apply)

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` and add or choose the parameters that train, in place."""
        raise NotImplementedError

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write what trains, with a description."""
        from jadapt.methods.parameters import trainable_state

        adapter_files.write(directory, self.key, self.settings, trainable_state(model))

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read what `save` wrote into a model that `apply` has prepared."""
        from jadapt.methods.parameters import load_trainable

        load_trainable(model, adapter_files.read(directory, self.key), directory)
