"""Low-rank adaptation: W x + (alpha / r) B A x with W frozen (Hu et al., ICLR 2022).

The adapter itself is NeMo's. Its default initialisation of A ("xavier") draws from U[0, 1) on the
Hugging Face path: for r = 16 on 896 inputs an A thirty times as large as the published Kaiming
initialisation, most of its energy in one direction. `kaiming` therefore selects the branch that is
the published one, and `nemo` keeps NeMo's default for comparison.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from jadapt.files import read_json, write_json
from jadapt.methods.base import Method, Transform, load_trainable, trainable_state

NEMO_A_INIT = {"kaiming": "uniform", "nemo": "xavier"}
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"


class LoRA(Method):
    """LoRA on the linear layers named in ``target_modules``; B starts at zero, so the model starts
    unchanged. Adapters are kept in PEFT's format, readable without this project."""

    hyperparameters = ("rank", "alpha", "dropout", "target_modules", "a_init")

    def transform(self) -> Transform:
        """Return NeMo's LoRA transform; every other parameter is frozen."""
        from nemo.collections.llm.peft.lora import LoRA as NeMoLoRA

        lora = NeMoLoRA(
            target_modules=list(self.settings["target_modules"]),
            dim=self.settings["rank"],
            alpha=self.settings["alpha"],
            dropout=self.settings["dropout"],
            lora_A_init_method=NEMO_A_INIT[self.settings["a_init"]],
        )
        # NeMo sets this when the transform is also a callback. As a callback it would replace the
        # trainer's checkpoint reader and writer, and skip Lightning's restoring of a run; as a
        # transform alone it leaves them be. True: patch the linear layers in place.
        lora._add_via_setattr = True
        return lora

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write the adapter alone: ``adapter_model.safetensors`` and ``adapter_config.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        tensors = {
            _peft_name(name): tensor.contiguous().cpu()
            for name, tensor in trainable_state(model).items()
        }
        save_file(tensors, directory / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        write_json(
            directory / ADAPTER_CONFIG,
            {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "r": self.settings["rank"],
                "lora_alpha": self.settings["alpha"],
                "lora_dropout": self.settings["dropout"],
                "target_modules": list(self.settings["target_modules"]),
                "bias": "none",
                "fan_in_fan_out": False,
                "base_model_name_or_path": None,
            },
        )

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read an adapter written by `save` into a model that carries the same adapter."""
        read_json(directory / ADAPTER_CONFIG)
        stored = load_file(directory / ADAPTER_WEIGHTS)
        names = trainable_state(model)
        state = {name: stored[key] for name in names if (key := _peft_name(name)) in stored}
        load_trainable(model, state, directory)


def _peft_name(name: str) -> str:
    """Translate NeMo's parameter name into PEFT's."""
    renamed = name.replace(".lora_a.", ".lora_A.").replace(".lora_b.", ".lora_B.")
    return f"base_model.model.{renamed}"
