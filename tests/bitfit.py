"""BitFit (Ben Zaken et al., ACL 2022): of the model's own parameters only the biases train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jadapt.core.declarations import Field, Look, Settings
from jadapt.core.errors import UserError
from jadapt.methods.peft.adapter import Adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class BitFit(Adapter):
    """The biases of all linear layers, or of the queries alone."""

    key = "bitfit"
    label = "BitFit"
    family = "efficient"
    look = Look("#b15928", "*", (0, (2, 2)))
    summary = "BitFit: only the biases train."
    paragraph = """
    *BitFit* @bitfit trains the biases of the model, adds nothing and leaves all matrices as they
    are.
    """
    citation = "bitfit"
    bibtex = """
    @inproceedings{bitfit,
      author    = {Ben Zaken, Elad and Goldberg, Yoav and Ravfogel, Shauli},
      title     = {{BitFit}: Simple Parameter-efficient Fine-tuning for Transformer-based Models},
      booktitle = {Proceedings of ACL},
      year      = {2022},
    }
    """

    class Hyperparameters(Settings):
        """Of BitFit."""

        queries_only: bool = Field(
            False, examples=[False], description="Whether only the biases of the queries train."
        )

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` but for its biases, in place."""
        model.requires_grad_(False)
        ending = "q_proj.bias" if self.settings.queries_only else ".bias"
        found = [p for name, p in model.named_parameters() if name.endswith(ending)]
        if not found:
            raise UserError("method bitfit: the model has no such biases; choose another method")
        for bias in found:
            bias.requires_grad_(True)
