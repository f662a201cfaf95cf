"""The Lightning module of a run: NeMo's Hugging Face module, with methods and strategies added."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything
from nemo.collections import llm
from nemo.utils import decorators
from torch.optim import Optimizer
from transformers.utils import ModelOutput

from jadapt.methods.base import Method
from jadapt.methods.outputs import Outputs
from jadapt.methods.strategy import Batch, Strategy
from jadapt.training import checkpoints, precision
from jadapt.training.async_scalars import Reading, Readings
from jadapt.training.distributed import ranks, sharding
from jadapt.training.kernels import Fast
from jadapt.training.kernels.attention import Layout, without_mask
from jadapt.training.kernels.compiling import compile_layers
from jadapt.training.kernels.cross_entropy import chunked_loss, headless
from jadapt.training.kernels.cuda_graphs import Recorder
from jadapt.training.kernels.projections import Group, fuse_projections


@contextmanager
def _notice_without_waiting() -> Iterator[None]:
    """Let NeMo say that a later release will be without its Hugging Face path, but not stop for two
    seconds so that somebody reads it."""
    notice = decorators.deprecated_warning
    decorators.deprecated_warning = lambda **words: notice(**{**words, "wait_seconds": 0})
    try:
        yield
    finally:
        decorators.deprecated_warning = notice


class AdaptationModule(llm.HFAutoModelForCausalLM):
    """A causal language model, trained by one method and the strategies composed with it.

    The object exists as long as the process. Each run loads the model anew (`begin_run`); each task
    of a run gets a new trainer and a new optimiser and starts from the weights of the previous
    task.

    Within an optimiser step the order is: accumulate the gradients of the micro-batches, unscale,
    all-reduce, project (`on_before_optimizer_step`), clip (`configure_gradient_clipping`), step.
    """

    # Attributes of NeMo's, with their types. The model is None until the first task loads it.
    model: Any
    loss_fn: Callable
    loss_buffer: list[torch.Tensor]
    timestamp: float | None

    def __init__(self, model_directory: Path):
        with _notice_without_waiting():
            super().__init__(
                model_name=str(model_directory),
                default_dtype=torch.float32,
                use_linear_ce_loss=False,
            )
        self.plain_loss: Callable = self.loss_fn
        self.fast = Fast()
        self.method: Method = Method({})
        self.strategies: Sequence[Strategy] = ()
        # A `Context` from the preparation of the first task on.
        self.context: Any = None
        # Called when the model of a task is loaded, before its optimiser is created.
        self.prepare: Callable[[], None] = lambda: None
        # Set for each task, so that dropout does not depend on earlier tasks and attempts.
        self.task_seed = 0
        self.start_from: Path | None = None
        # Updated in each step. The logged losses are those of the data, without penalties.
        self.readings = Readings()
        self.applied_learning_rate = math.nan
        self._groups: list[Group] = []
        self._recorder: Recorder | None = None
        self._layout = Layout()

    def begin_run(
        self,
        model_directory: Path,
        method: Method,
        strategies: Sequence[Strategy],
        settings: dict | None = None,
    ) -> None:
        """Drop the model of the previous run; the next task will load it anew for ``method``.

        ``settings`` are those of the run; only ``precision`` and ``fast`` are read here.
        """
        self.default_dtype = precision.dtype((settings or {}).get("precision", "32-true"))
        self.fast = Fast.of(settings or {})
        chunk = self.fast.cross_entropy_chunk
        self.loss_fn = partial(chunked_loss, self, chunk) if chunk else self.plain_loss
        self.readings = Readings()
        self._forget_recordings()
        self.model = None
        self._groups = []
        # Attributes that NeMo and Lightning set here keep the optimiser alive, and so the weights.
        self.__dict__.pop("configure_optimizers", None)
        self.optim = self._trainer = None
        self.model_name = str(model_directory)
        self.context = None
        self.start_from = None
        # Reset NeMo's running sums; the previous run may have ended in the middle of a step.
        self.loss_buffer, self.n_tok, self.timestamp = [], 0, None
        self.method, self.strategies = method, strategies
        self.model_transform = method.transform()

    def configure_model(self) -> None:
        """Load the weights and add the method's parameters, once per run; prepare the task.

        Called by the trainer: outside of ``fit``, NeMo's transforms would freeze all weights.
        """
        fresh = self.model is None
        if fresh:
            # So that the initial values of new parameters do not depend on earlier runs.
            torch.manual_seed(self.task_seed)
            super().configure_model()
            # With a key-value cache transformers drops the mask that keeps packed documents apart.
            self.model.config.use_cache = False
            if self.start_from:
                self.method.restore(self.model, self.start_from)
            if self.fast.compile_layers:
                compile_layers(self.model, self.fast.activation_budget)
        # The trainer also does this, but only after `prepare` has used the model.
        self.model.to(self.trainer.strategy.root_device)
        if self.fast.fuse_projections and fresh:
            self._groups = fuse_projections(self.model)
        for group in self._groups:
            group.attach()
        self.prepare()
        # Only now, since `prepare` lets the method add parameters for the task.
        self._forget_recordings()
        if self.fast.cuda_graphs and self.method.static_graph:
            self._recorder = Recorder(self._compute, self.model.parameters())

    def _forget_recordings(self) -> None:
        if self._recorder is not None:
            self._recorder.release()
        self._recorder = None

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Compute the layout of documents while the positions are still on the host."""
        if not self.training:
            return batch
        if self.fast.flash_attention:
            self._layout = self._layout_of(batch)
        if self.trainer.strategy.root_device.type == "cuda":
            # A copy from memory that is not pinned would wait for the previous step.
            batch = {name: values.pin_memory() for name, values in batch.items()}
            self._layout = self._layout.pinned()
        return batch

    def _layout_of(self, batch: Batch) -> Layout:
        return Layout.of(batch["position_ids"], self.model, self.trainer.precision)

    def on_train_start(self) -> None:
        """Seed the random generators of a task; a resumed task has those of its checkpoint."""
        if self.trainer.global_step == 0:
            seed_everything(ranks.own_seed(self.task_seed), verbose=False)

    def log(self, name: str, value: float | torch.Tensor, **options: object) -> None:
        """Pass NeMo's numbers to the progress bar, if there is one; `meters` writes the log.

        Without a bar they are dropped: Lightning would copy each to the device and wait for it.
        """
        if self.trainer.progress_bar_callback is not None:
            super().log(name, value, **options)

    def training_step(
        self, batch: Batch, batch_idx: int | None = None, context_parallel: bool = False
    ) -> torch.Tensor:
        """Return the loss of a micro-batch plus the penalties of the strategies.

        All training rows are full, so the mean over the micro-batches of a step is the mean over
        its tokens, however the step is divided.

        This does the same as NeMo's training step, except that it does not read the loss and the
        amount of padding immediately: the device would be idle until the host has them.
        """
        if self.timestamp is None:
            self.timestamp = time.perf_counter()
        layout = self._layout.to(batch["labels"].device)
        given, outputs = layout.added_to(batch), None
        if self._recorder is None:
            loss, outputs = self._computed(given, layout.whole_rows)
        else:
            loss = self._recorder(given, whole_rows=layout.whole_rows)
        self.loss_buffer.append(loss.detach())
        self.n_tok += batch["labels"].numel()
        self._layout = Layout()
        # The device has been given work by now, so reading older values does not leave it idle.
        self.settle()
        self.readings.loss(loss, self.trainer.global_step + 1)
        if not loss.is_cuda:
            self.settle()
        for strategy in self.strategies:
            penalty = strategy.penalty(self.context, batch, outputs)
            if penalty is not None:
                loss = loss + penalty
        return loss

    def _compute(self, batch: Batch, whole_rows: bool) -> torch.Tensor:
        """Return the mean loss of a batch, in nats per token."""
        return self._computed(batch, whole_rows)[0]

    def _computed(self, batch: Batch, whole_rows: bool) -> tuple[torch.Tensor, Outputs]:
        """Return the mean loss of a batch, in nats per token, and what it was computed from."""
        before = self._layout
        self._layout = Layout(whole_rows, batch.get("boundaries"))
        try:
            inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
            values = self.forward(inputs).logits.flatten(0, 1)
            outputs = Outputs.of(self.model, values, self.fast.cross_entropy_chunk)
            return self.loss_fn(values, batch["labels"].flatten()), outputs
        finally:
            self._layout = before

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the mean loss of a batch in nats per token, in the precision of the run."""
        layout = Layout()
        if self.fast.flash_attention:
            layout = self._layout_of(batch)
        with self.trainer.precision_plugin.train_step_context():
            return self._compute(layout.added_to(batch), layout.whole_rows)

    def forward(self, batch: Batch, num_logits_to_keep: int | None = None) -> ModelOutput:
        """Run the model; with a chunked cross-entropy, the loss applies the output layer."""
        with ExitStack() as changes:
            layout = self._layout.to(self.model.device)
            if not layout.masked:
                changes.enter_context(without_mask(self.model))
            if self.fast.cross_entropy_chunk:
                changes.enter_context(headless(self.model))
            return super().forward(layout.added_to(batch), num_logits_to_keep)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Let the strategies change the gradient, which is already unscaled and all-reduced."""
        self._close_nemo_log(optimizer)
        for strategy in self.strategies:
            strategy.project(self.context, self.trainer.global_step + 1)

    def _close_nemo_log(self, optimizer: Optimizer) -> None:
        """Finish NeMo's own log of the step.

        With several processes it is skipped: it would synchronise them twice per step, and it fails
        when the model is sharded.
        """
        if ranks.count() == 1:
            super().on_before_optimizer_step(optimizer)
        else:
            self.loss_buffer, self.n_tok = [], 0

    def optimizer_step(self, *arguments: object, **options: object) -> None:
        """Take the optimiser step, and free the gradients.

        Lightning would keep them during the next forward pass, whose activations need the memory.
        """
        super().optimizer_step(*arguments, **options)
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the global gradient norm as Lightning would.

        The norm before clipping and the learning rate are kept for the log, since the schedule
        advances before the step is logged.
        """
        self.applied_learning_rate = float(optimizer.param_groups[0]["lr"])
        limit = gradient_clip_val or math.inf
        norm = sharding.clip_gradients(sharding.parameters_of(optimizer), limit)
        self.readings.norm(norm, self.trainer.global_step + 1)
        if not norm.is_cuda:
            self.settle()

    def settle(self) -> None:
        """Read the losses and norms recorded so far.

        Called when the device has further work, and before any of the values is used.

        Raises:
            Diverged: one of them is not finite.
        """
        self.readings.settle(getattr(self.trainer.precision_plugin, "scaler", None) is not None)

    @property
    def gradient_norm(self) -> float:
        """The newest gradient norm that was read, before clipping."""
        return self.readings.gradient_norm

    def take_losses(self) -> list[Reading]:
        """Return the losses of the micro-batches since the last call, in nats per token."""
        return self.readings.take_losses()

    def measures(self) -> dict[str, float | None]:
        """Return the strategies' measurements of the last step, by name.

        With a loss scaler, these include the scale and the number of steps that it has skipped.
        """
        scale = precision.scale(self.trainer.precision_plugin)
        scaling: dict[str, float | None] = {} if scale is None else {
            "loss_scale": scale, "skipped_steps": self.readings.skipped_steps,
        }  # fmt: skip
        return scaling | {
            f"{type(strategy).__name__.lower()}_{name}": value if math.isfinite(value) else None
            for strategy in self.strategies
            for name, value in strategy.measures().items()
        }

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Save only what the method trains, and the states of the random generators.

        Frozen weights are already stored in the folder of the base model.
        """
        self.settle()
        with sharding.gathered(self.model, trained_only=True):
            checkpoint["state_dict"] = self.method.state(self.model)
        checkpoint["random_states"] = ranks.gather(checkpoints.random_states())
        checkpoints.count_batch(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Restore the states of the random generators."""
        checkpoints.set_random_states(checkpoint["random_states"][ranks.rank()])

    def load_state_dict(self, state_dict: dict, strict: bool = True, assign: bool = False) -> None:
        """Load the parameters that `on_save_checkpoint` saved."""
        self.method.load_state(self.model, sharding.like_parameters(self.model, state_dict))
