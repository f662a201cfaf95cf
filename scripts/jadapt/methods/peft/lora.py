"""Low-rank adaptation: W x + s B A x with W frozen, s = alpha / r (Hu et al., ICLR 2022).

Published variants are settings of it: the scale alpha / sqrt(r) (rsLoRA, Kalajdzievski, 2023), a
higher learning rate for B (LoRA+, Hayou et al., ICML 2024), a start from the principal singular
vectors of W (PiSSA, Meng et al., NeurIPS 2024; `principal`), and embeddings that train along.

The adapter itself is NeMo's. Its default initialisation of A ("xavier") draws from U[0, 1) on the
Hugging Face path: for r = 16 on 896 inputs an A thirty times as large as the published Kaiming
initialisation, most of its energy in one direction. `kaiming` therefore selects the branch that is
the published one, and `nemo` keeps NeMo's default for comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jadapt.core.declarations import DDP, FSDP2, Field, Look, Number, Settings
from jadapt.core.errors import UserError, nearest
from jadapt.methods.base import Method
from jadapt.methods.peft.targets import TargetModules, linear_shapes

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    from jadapt.methods.base import Transform

NEMO_A_INIT = {"kaiming": "uniform", "nemo": "xavier", "pissa": "uniform"}


class LoRA(Method):
    """LoRA on the linear layers named in ``target_modules``; the model starts unchanged.

    Adapters are kept in PEFT's format (`peft_format`), readable without this project.
    """

    key = "lora"
    label = "LoRA"
    family = "efficient"
    order = 20
    look = Look("#d55e00", "s", "--")
    summary = "Low-rank adaptation: a trained product of two thin matrices beside frozen weights."
    paragraph = r"""
    *LoRA* @lora freezes a weight matrix $W$ and learns an update of rank $r$,
    $ h = W x + alpha / r B A x, $ <eq-lora>
    with $B$ zero at the start, so that training begins at the base model. The start of $A$ deserves
    a remark. The published choice is Kaiming's uniform initialisation @he, which for $d$ inputs
    draws from an interval around zero whose root mean square is $1 \/ sqrt(3 d)$. The default of
    << names.nemo >> (version << literature.lora_initialisation.version >>) on its Hugging Face
    path, named after Xavier, draws from the interval between zero and one instead, with a root mean
    square of $1 \/ sqrt(3)$. That is too large by a factor of $sqrt(d)$<% if
    setting("model.hidden_size") %>, which is << n("setting.model.hidden_size.root") >>
    for the width of the model here<% endif %>, and since all entries are positive, most of its
    energy lies in one direction.
    <% for chosen in ["kaiming", "nemo"] %>
    <% set users = of_kind("lora") | selectattr("settings.a_init", "equalto", chosen) | list %>
    <% if users %>
    The <% if chosen == "kaiming" %>published initialisation<% else %>default, for comparison,<%
    endif %> is used by << named(users) | markup >>.
    <% endif %>
    <% endfor %>
    <% set users = of_kind("lora") | selectattr("settings.a_init", "equalto", "pissa") | list %>
    <% if users %>
    << named(users) | markup >> starts as PiSSA @pissa does: $B$ and $A$ hold the $r$ largest
    singular values of $W$ with their vectors, and what is left of $W$ is frozen. Again training
    begins at the base model, but what trains is the part of the weights that does most.
    <% endif %>
    <% set users = of_kind("lora") | selectattr("settings.use_rslora", "defined") |
    selectattr("settings.use_rslora") | list %>
    <% if users %>
    << named(users) | markup >> scales the update by $alpha \/ sqrt(r)$ @rslora, which keeps its
    size when the rank grows.
    <% endif %>
    <% set users = of_kind("lora") | selectattr("settings.lora_plus_ratio", "defined") | list %>
    <% if users %>
    << named(users) | markup >> trains $B$ at a multiple of the learning rate of $A$ @lora-plus.
    <% endif %>
    <% set users = of_kind("lora") | selectattr("settings.train_embeddings", "defined") |
    selectattr("settings.train_embeddings") | list %>
    <% if users %>
    << named(users) | markup >> trains the embeddings as well, whole, and with them the output
    layer.
    <% endif %>
    """
    citation = "lora"
    parallelism = frozenset({DDP, FSDP2})
    use_dora = False

    class Hyperparameters(Settings):
        """Of LoRA as NeMo builds it."""

        rank: int = Field(examples=[16], ge=1, description="Rank r of the update.")
        alpha: Number = Field(
            examples=[32], gt=0, description="Scale; the update counts alpha / r times."
        )
        dropout: Number = Field(examples=[0.0],
            ge=0, lt=1,
            description="Dropout on the adapter's output, as NeMo applies it on this path.",
        )  # fmt: skip
        target_modules: TargetModules
        a_init: Literal["kaiming", "nemo", "pissa"] = Field(
            examples=["kaiming"],
            description="Initialisation of A: the published one, or NeMo's default (uniform on "
            "[0, 1)); or of both factors by the principal singular vectors of the weight.",
        )
        use_rslora: bool = Field(
            False,
            examples=[False],
            description="Whether the update counts alpha / sqrt(r) times instead (rsLoRA).",
        )
        lora_plus_ratio: Number = Field(
            1.0,
            examples=[1.0],
            gt=0,
            description="Learning rate of B over that of A (LoRA+); 1: the same.",
        )
        train_embeddings: bool = Field(
            False,
            examples=[False],
            description="Whether the embeddings, and the output layer, train along, whole.",
        )

    @property
    def scale(self) -> float:
        """alpha / r, or alpha / sqrt(r): what the product B A is multiplied by."""
        rank = self.settings.rank
        return self.settings.alpha / (rank**0.5 if self.rank_stabilised else rank)

    @property
    def rank_stabilised(self) -> bool:
        """Whether the scale falls with the root of the rank (rsLoRA)."""
        return self.settings.use_rslora

    @property
    def principal(self) -> bool:
        """Whether the factors start as the principal part of the weights (PiSSA)."""
        return self.settings.a_init == "pissa"

    @property
    def trains_embeddings(self) -> bool:
        """Whether the embeddings train along."""
        return self.settings.train_embeddings

    def check(self, shape: PretrainedConfig) -> None:
        """Refuse targets that the model lacks, and a rank above the full rank of a target."""
        known = linear_shapes(shape)
        for target in self.settings.target_modules:
            if target not in known:
                raise UserError(
                    f"target_modules: the model has no '{target}'{nearest(target, known)}"
                )
        smallest = min(self.settings.target_modules, key=lambda name: min(known[name]))
        outputs, inputs = known[smallest]
        if self.settings.rank > min(outputs, inputs):
            raise UserError(
                f"rank: {self.settings.rank} is above {min(outputs, inputs)}, the full rank of "
                f"'{smallest}' ({outputs} x {inputs}) in this model; lower it to at most that"
            )
        if self.principal and self.settings.dropout:
            raise UserError(
                f"dropout: {self.settings.dropout:g} would drop a part of the model itself where "
                "a_init is pissa; set it to 0"
            )

    def transform(self) -> Transform:
        """Return a NeMo transform that does what `apply` does."""
        if not (self.principal or self.trains_embeddings):
            return self._adapters()
        from jadapt.methods.parameters import nemo_transform

        return nemo_transform(self.apply)

    def _adapters(self) -> Transform:
        """Return NeMo's LoRA transform; every other parameter is frozen."""
        from nemo.collections.llm.peft.lora import LoRA as NeMoLoRA

        rank, alpha = self.settings.rank, self.settings.alpha
        lora = NeMoLoRA(
            target_modules=list(self.settings.target_modules),
            dim=rank,
            # It divides by the rank.
            alpha=self.scale * rank if self.rank_stabilised else alpha,
            dropout=self.settings.dropout,
            lora_A_init_method=NEMO_A_INIT[self.settings.a_init],
        )
        # NeMo sets this when the transform is also a callback. As a callback it would replace the
        # trainer's checkpoint reader and writer, and skip Lightning's restoring of a run; as a
        # transform alone it leaves them be. True: patch the linear layers in place.
        lora._add_via_setattr = True
        return lora

    def apply(self, model: PreTrainedModel) -> None:
        """Freeze ``model`` and add NeMo's adapters to it, in place."""
        from nemo.collections.llm.fn import walk

        from jadapt.methods.peft.lora_layers import embeddings
        from jadapt.methods.peft.principal import start_principal

        model.requires_grad_(False)
        walk(model, self._adapters().transform)
        if self.principal:
            start_principal(model, self.scale)
        if self.trains_embeddings:
            for parameter in embeddings(model).values():
                parameter.requires_grad_(True)
        # New modules, dropout among them, start in training mode.
        model.train(model.training)

    def weight_delta(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return the change of each adapted layer's weight, s B A of shape (out, in).

        Differentiable in A and B; by the name of the linear layer. Where the factors started as a
        part of the weight it is the change of what was left. Embeddings that train stand there
        themselves.
        """
        from jadapt.methods.peft.lora_layers import adapted_layers

        return {
            name: self.scale * (layer.lora_b.weight @ layer.lora_a.weight)
            for name, layer in adapted_layers(model)
        } | self._embeddings(model)

    def weight_delta_leaves(self, model: PreTrainedModel) -> dict[str, nn.Parameter]:
        """Return the base weights of the adapted layers, by the name of the layer.

        They are frozen in training. Once they require gradients, theirs are those of the change
        that is added to them.
        """
        from jadapt.methods.peft.lora_layers import adapted_layers

        layers = {name: layer.weight for name, layer in adapted_layers(model)}
        return layers | self._embeddings(model)

    def _embeddings(self, model: PreTrainedModel) -> dict[str, nn.Parameter]:
        from jadapt.methods.peft.lora_layers import embeddings

        return embeddings(model) if self.trains_embeddings else {}

    def interpolated_names(self, model: PreTrainedModel) -> list[str]:
        """Return the factors B: a share of them is that share of the update.

        Where the factors started as a part of the weight also that weight, and embeddings that
        train.
        """
        from jadapt.methods.peft.lora_layers import adapted_layers

        names = [name for name, _ in model.named_parameters() if ".lora_b." in name]
        if self.principal:
            names += [f"{name}.weight" for name, _ in adapted_layers(model)]
        return names + list(self._embeddings(model))

    def interpolate(
        self, model: PreTrainedModel, before: dict[str, torch.Tensor], share: float
    ) -> float:
        """Put the weights at ``share`` of the way that they went since ``before``, in place.

        What lies between two updates of rank r has rank 2r; the nearest of rank r takes its place.
        Exact where the earlier one was zero, as in the first task.
        """
        from jadapt.methods.peft.lora_layers import interpolate

        return interpolate(model, before, share)

    def learning_rate_factors(self, model: PreTrainedModel) -> dict[str, float]:
        """Return the factors B, where they have a learning rate of their own."""
        ratio = self.settings.lora_plus_ratio
        names = (name for name, _ in model.named_parameters() if ".lora_b." in name)
        return {} if ratio == 1 else dict.fromkeys(names, float(ratio))

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """Return a copy of ``model`` with the change added to the weights, and no adapter."""
        from jadapt.methods.peft.lora_layers import merged

        return merged(model, self.weight_delta)

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write the adapter alone: ``adapter_model.safetensors`` and ``adapter_config.json``."""
        from jadapt.methods.peft.peft_format import save

        save(model, directory, self._described(model))

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read an adapter written by `save` into a model that carries the same adapter.

        Raises:
            UserError: the adapter has another rank, scale or kind, or other layers.
        """
        from jadapt.methods.peft.peft_format import restore

        restore(model, directory, self._described(model), self.scale)

    def _described(self, model: PreTrainedModel) -> dict[str, Any]:
        """Return what PEFT has to know of the adapter; defaults are left out."""
        from jadapt.methods.peft.peft_format import doubled, saved_modules

        found = {
            "r": self.settings.rank,
            "lora_alpha": self.settings.alpha,
            "lora_dropout": self.settings.dropout,
            "target_modules": list(self.settings.target_modules),
            "use_dora": self.use_dora,
        }
        if self.rank_stabilised:
            found["use_rslora"] = True
        if self.principal:
            found |= doubled(found)
        if self.trains_embeddings:
            found |= saved_modules(model)
        return found
