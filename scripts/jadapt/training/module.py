"""NeMo's Hugging Face module, fitted to this project: where it differs and why."""

from __future__ import annotations

from pathlib import Path

import torch
from nemo.collections import llm
from torch.optim import Optimizer

from jadapt.methods.base import Method, load_trainable, trainable_state


class AdaptationModule(llm.HFAutoModelForCausalLM):
    """A causal language model under training by one method.

    The model object lives as long as the process: each task of a sequence gets a new trainer and a
    new optimiser, and goes on with the weights of the task before.
    """

    def __init__(self, model_directory: Path, method: Method, dtype: torch.dtype = torch.float32):
        super().__init__(
            model_name=str(model_directory),
            model_transform=method.transform(),
            default_dtype=dtype,
            use_linear_ce_loss=False,
        )
        self.method = method
        # Where an earlier attempt left the model of the last task that it finished.
        self.start_from: Path | None = None
        # Set for each task: what dropout draws must not depend on the tasks and attempts before.
        self.task_seed = 0
        self.gradient_norm = float("nan")
        self.applied_learning_rate = float("nan")

    def configure_model(self) -> None:
        """Load the weights and add the method's parameters, once a process.

        Called by the trainer: NeMo's transforms freeze everything unless a trainer is fitting.
        """
        if self.model is not None:
            return
        super().configure_model()
        # With a key-value cache transformers drops the mask that keeps packed documents apart.
        self.model.config.use_cache = False
        if self.start_from:
            self.method.restore(self.model, self.start_from)

    def on_train_start(self) -> None:
        """Start the random numbers of a task afresh; a resumed task has those of its checkpoint."""
        if self.trainer.global_step == 0:
            torch.manual_seed(self.task_seed)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the global norm as Lightning would; keep the norm from before and the rate for the
        log (the schedule moves on before the step is logged)."""
        self.applied_learning_rate = float(optimizer.param_groups[0]["lr"])
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        limit = gradient_clip_val or float("inf")
        self.gradient_norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep the trainable parameters only, with the state of the random generators.

        Frozen weights stand in the base model's folder already.
        """
        checkpoint["state_dict"] = trainable_state(self.model)
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Take back the state of the random generators."""
        torch.set_rng_state(checkpoint["random_state"])

    def load_state_dict(self, state_dict: dict, strict: bool = True, assign: bool = False) -> None:
        """Load the trainable parameters of a checkpoint."""
        load_trainable(self.model, state_dict, "checkpoint")
