"""Low-rank adaptation: W x + (alpha / r) B A x with W frozen (Hu et al., ICLR 2022).

The adapter itself is NeMo's. Its default initialisation of A ("xavier") draws from U[0, 1) on the
Hugging Face path: for r = 16 on 896 inputs an A thirty times as large as the published Kaiming
initialisation, most of its energy in one direction. `kaiming` therefore selects the branch that is
the published one, and `nemo` keeps NeMo's default for comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jadapt.core.declarations import DDP, FSDP2, Field, Look, Number, Settings
from jadapt.core.errors import UserError, nearest
from jadapt.core.files import read_json, write_json
from jadapt.methods.base import Method
from jadapt.methods.peft.adapter_files import PEFT_CONFIG, PEFT_WEIGHTS
from jadapt.methods.peft.targets import TargetModules, linear_shapes

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    from jadapt.methods.base import Transform

NEMO_A_INIT = {"kaiming": "uniform", "nemo": "xavier"}


class LoRA(Method):
    """LoRA on the linear layers named in ``target_modules``; B starts at zero, so the model starts
    unchanged. Adapters are kept in PEFT's format, readable without this project."""

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
        a_init: Literal["kaiming", "nemo"] = Field(
            examples=["kaiming"],
            description="Initialisation of A: the published one, or NeMo's default (uniform on "
            "[0, 1)).",
        )

    @property
    def scale(self) -> float:
        """alpha / r, what the product B A is multiplied by."""
        return self.settings.alpha / self.settings.rank

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
                f"rank: {self.settings['rank']} is above {min(outputs, inputs)}, the full rank of "
                f"'{smallest}' ({outputs} x {inputs}) in this model; lower it to at most that"
            )

    def transform(self) -> Transform:
        """Return NeMo's LoRA transform; every other parameter is frozen."""
        from nemo.collections.llm.peft.lora import LoRA as NeMoLoRA

        lora = NeMoLoRA(
            target_modules=list(self.settings.target_modules),
            dim=self.settings.rank,
            alpha=self.settings.alpha,
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

        model.requires_grad_(False)
        walk(model, self.transform().transform)
        # New modules, dropout among them, start in training mode.
        model.train(model.training)

    def weight_delta(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return the change of each adapted layer's weight, (alpha / r) B A of shape (out, in).

        Differentiable in A and B; by the name of the linear layer.
        """
        from jadapt.methods.peft.lora_layers import adapted_layers

        return {
            name: self.scale * (layer.lora_b.weight @ layer.lora_a.weight)
            for name, layer in adapted_layers(model)
        }

    def weight_delta_leaves(self, model: PreTrainedModel) -> dict[str, nn.Parameter]:
        """Return the base weights of the adapted layers, by the name of the layer.

        They are frozen in training. Once they require gradients, theirs are those of the change
        that is added to them.
        """
        from jadapt.methods.peft.lora_layers import adapted_layers

        return {name: layer.weight for name, layer in adapted_layers(model)}

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """Return a copy of ``model`` with the change added to the weights, and no adapter."""
        from jadapt.methods.peft.lora_layers import merged

        return merged(model, self.weight_delta)

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write the adapter alone: ``adapter_model.safetensors`` and ``adapter_config.json``."""
        from safetensors.torch import save_file

        from jadapt.methods.parameters import trainable_state

        directory.mkdir(parents=True, exist_ok=True)
        tensors = {
            peft_name(name): tensor.contiguous().cpu()
            for name, tensor in trainable_state(model).items()
        }
        save_file(tensors, directory / PEFT_WEIGHTS, metadata={"format": "pt"})
        write_json(
            directory / PEFT_CONFIG,
            {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "r": self.settings.rank,
                "lora_alpha": self.settings.alpha,
                "lora_dropout": self.settings.dropout,
                "target_modules": list(self.settings.target_modules),
                "use_dora": self.use_dora,
                "bias": "none",
                "fan_in_fan_out": False,
                "base_model_name_or_path": None,
            },
        )

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read an adapter written by `save` into a model that carries the same adapter.

        Raises:
            UserError: the adapter has another rank, scale or kind, or other layers.
        """
        from safetensors.torch import load_file

        from jadapt.methods.parameters import load_trainable, trainable_state

        stored = read_json(directory / PEFT_CONFIG)
        for key, expected in (
            ("r", self.settings.rank),
            ("lora_alpha", self.settings.alpha),
            ("use_dora", self.use_dora),
        ):
            if stored.get(key, False) != expected:
                raise UserError(
                    f"{directory / PEFT_CONFIG}: {key} is {stored.get(key)}, not {expected}; "
                    "it belongs to another method: delete the folder and run again"
                )
        tensors = load_file(directory / PEFT_WEIGHTS)
        names = trainable_state(model)
        state = {name: tensors[key] for name in names if (key := peft_name(name)) in tensors}
        load_trainable(model, state, directory)


def peft_name(name: str) -> str:
    """Translate the name of an adapter's parameter into PEFT's."""
    renamed = name.replace(".lora_a.", ".lora_A.").replace(".lora_b.", ".lora_B.")
    return f"base_model.model.{renamed}"
