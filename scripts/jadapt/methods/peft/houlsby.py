"""Bottleneck adapters (Houlsby et al., ICML 2019) after attention and after the feed-forward block.

    h + W_up f(W_down h + b) + b'

where h is what the sub-layer adds to the residual stream: the output of the attention's output
projection, and that of the feed-forward block's last layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jadapt.core.declarations import DDP, FSDP2, Field, Look, Number, Settings
from jadapt.methods.peft.adapter import Adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Houlsby(Adapter):
    """Two bottleneck adapters a block; with ``train_norms`` the gains of the norms train as well,
    as in the paper.

    W_up is drawn from N(0, ``init_std`` squared) and both biases are zero: at 0 the model starts
    exactly unchanged, at the paper's 0.01 nearly so. W_down is drawn as PyTorch draws a linear
    layer, U(-1/sqrt(n), 1/sqrt(n)): were both matrices zero, neither would ever get a gradient.
    """

    key = "houlsby"
    label = "Houlsby adapters"
    family = "efficient"
    order = 40
    look = Look("#e69f00", "^", (0, (5, 1, 1, 1)))
    summary = "Bottleneck adapters after attention and after the feed-forward block."
    paragraph = r"""
    *Houlsby adapters* @houlsby are bottlenecks with a residual connection,
    $ h <- h + W_"up" sigma(W_"down" h + b_"down") + b_"up", $ <eq-houlsby>
    one after attention and one after the feed-forward layer of every block, each before the block's
    own residual sum. Only they train<% if of_kind("houlsby") | selectattr("settings.train_norms",
    "defined") | selectattr("settings.train_norms") | list %>, along with the gains of the
    normalisation layers<% endif %>.
    """
    citation = "houlsby"
    proper_name = True
    parallelism = frozenset({DDP, FSDP2})

    class Hyperparameters(Settings):
        """Of the adapters of Houlsby et al."""

        bottleneck: int = Field(examples=[64], ge=1, description="Width m of the bottleneck.")
        activation: Literal["relu", "gelu", "silu"] = Field(
            examples=["gelu"], description="Nonlinearity in the bottleneck."
        )
        init_std: Number = Field(
            examples=[0.01],
            ge=0,
            description="Standard deviation of the projection back at the start; 0 starts at the "
            "identity.",
        )
        train_norms: bool = Field(
            examples=[True],
            description="Whether the gains of the normalisation layers train too, as in the paper.",
        )

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` and add the adapters, in place."""
        from jadapt.methods.peft.houlsby_layers import add_adapters

        add_adapters(
            model,
            self.settings.bottleneck,
            self.settings.activation,
            self.settings.init_std,
            self.settings.train_norms,
        )
