"""Weight-decomposed low-rank adaptation (Liu et al., ICML 2024): direction by LoRA, length apart.

    W' = m (W + s B A) / ||W + s B A||,  s = alpha / r

with one length m and one norm for each output unit, taken over its inputs. m starts at ||W|| and B
at zero, so that W' starts at W up to the rounding of the sum with the bias. As in section 4.3 of
the paper the norm counts as a constant in the gradient.

NeMo's own DoRA builds Megatron layers, which the models of this project do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jadapt.core.declarations import LOSS, Field, Look, Number, Settings
from jadapt.methods.base import Method
from jadapt.methods.peft.lora import LoRA
from jadapt.methods.peft.targets import TargetModules

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from jadapt.methods.base import Transform


class DoRA(LoRA):
    """DoRA on the linear layers named in ``target_modules``, A drawn by Kaiming's rule.

    Dropout acts on the input of A, as in the paper's implementation. Adapters are kept in PEFT's
    format (``use_dora``), readable without this project.
    """

    key = "dora"
    interpolates = False
    label = "DoRA"
    family = "efficient"
    order = 30
    look = Look("#7f2d04", "P", "-.")
    summary = "Weight-decomposed low-rank adaptation: lengths of the weights' rows train as well."
    paragraph = r"""
    *DoRA* @dora writes a weight matrix as a magnitude times a direction and gives the low-rank
    update to the direction,
    $ W' = m dot (W + alpha / r B A) / norm(W + alpha / r B A), $ <eq-dora>
    where the norm is taken for each output separately and the vector of magnitudes $m$ trains as
    well. It starts at the norms of $W$ and $B$ starts at zero, so again training begins at the base
    model. As its authors advise, the norm counts as a constant in the gradient.
    """
    citation = "dora"
    # Penalties on its weights have not been studied.
    supports = Method.supports - {LOSS}
    use_dora = True
    rank_stabilised = principal = trains_embeddings = False

    class Hyperparameters(Settings):
        """Of DoRA."""

        rank: int = Field(examples=[16], ge=1, description="Rank r of the update.")
        alpha: Number = Field(
            examples=[32], gt=0, description="Scale; the update counts alpha / r times."
        )
        dropout: Number = Field(
            examples=[0.0], ge=0, lt=1, description="Dropout on the adapter's input."
        )
        target_modules: TargetModules

    def transform(self) -> Transform:
        """Return the NeMo transform that does what `apply` does."""
        from jadapt.methods.parameters import nemo_transform

        return nemo_transform(self.apply)

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` and turn its target layers into `DoRALinear`, in place."""
        from jadapt.methods.peft.dora_layers import patch_layers

        patch_layers(
            model,
            set(self.settings.target_modules),
            self.settings.rank,
            self.scale,
            self.settings.dropout,
        )

    def learning_rate_factors(self, model: PreTrainedModel) -> dict[str, float]:
        """Return none: all of it trains at one rate."""
        return {}

    def weight_delta(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return W' - W of each adapted layer, of shape (out, in), by the name of the layer.

        Differentiable in A, B and m, the norm constant as in training.
        """
        from jadapt.methods.peft.lora_layers import adapted_layers

        return {name: layer.change() for name, layer in adapted_layers(model)}
