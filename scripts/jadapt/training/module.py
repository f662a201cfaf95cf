"""NeMo's Hugging Face module, fitted to this project: where it differs and why."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from lightning.pytorch import seed_everything
from nemo.collections import llm
from nemo.utils import decorators
from torch.optim import Optimizer
from transformers.utils import ModelOutput

from jadapt.data.evaluation_rows import UNSCORED
from jadapt.methods.base import Method
from jadapt.methods.strategy import Batch, Context, Strategy
from jadapt.training import checkpoints, precision
from jadapt.training.async_scalars import Reading, Readings
from jadapt.training.distributed import ranks, sharding
from jadapt.training.kernels import Fast
from jadapt.training.kernels.attention import Layout, without_mask
from jadapt.training.kernels.compiling import compile_layers
from jadapt.training.kernels.cross_entropy import headless, linear_cross_entropy
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
    """A causal language model under training by one method and the strategies composed with it.

    The object lives as long as the process. Each run loads the
    model anew (`begin_run`); each task of a run gets a new trainer and a new optimiser, and goes on
    with the weights of the task before.

    Within an optimiser step the order is: accumulate the gradients of the micro-batches, unscale,
    all-reduce, project (`on_before_optimizer_step`), clip (`configure_gradient_clipping`), step.
    """

    def __init__(self, model_directory: Path):
        with _notice_without_waiting():
            super().__init__(
                model_name=str(model_directory),
                default_dtype=torch.float32,
                use_linear_ce_loss=False,
            )
        self.plain_loss = self.loss_fn
        self.fast = Fast()
        self.method: Method = Method({})
        self.strategies: Sequence[Strategy] = ()
        self.context: Context | None = None
        # Called when the model of a task is in place, before its optimiser is made.
        self.prepare: Callable[[], None] = lambda: None
        # Set for each task: what dropout draws must not depend on the tasks and attempts before.
        self.task_seed = 0
        self.start_from: Path | None = None
        # Set as each step passes; losses and norms in the log are of the data, without penalties.
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
        """Forget the model of the run before; the next task loads its own, for ``method``.

        ``settings`` are the run's; of them ``precision`` and ``fast`` are read here.
        """
        self.default_dtype = precision.dtype((settings or {}).get("precision", "32-true"))
        self.fast = Fast.of(settings or {})
        self.loss_fn = self._chunked_loss if self.fast.cross_entropy_chunk else self.plain_loss
        self.readings = Readings()
        self._forget_recordings()
        self.model = None
        self._groups = []
        # What NeMo and Lightning left on this object holds the optimiser, and that the weights.
        self.__dict__.pop("configure_optimizers", None)
        self.optim = self._trainer = None
        self.model_name = str(model_directory)
        self.context = None
        self.start_from = None
        # NeMo's sums for its log, of a run that may have ended in the middle of a step.
        self.loss_buffer, self.n_tok, self.timestamp = [], 0, None
        self.method, self.strategies = method, strategies
        self.model_transform = method.transform()

    def configure_model(self) -> None:
        """Load the weights and add the method's parameters, once a run; prepare the task.

        Called by the trainer: NeMo's transforms freeze everything unless a trainer is fitting.
        """
        fresh = self.model is None
        if fresh:
            # What the transform draws is part of the run: the same in a process of many runs.
            torch.manual_seed(self.task_seed)
            super().configure_model()
            # With a key-value cache transformers drops the mask that keeps packed documents apart.
            self.model.config.use_cache = False
            if self.start_from:
                self.method.restore(self.model, self.start_from)
            if self.fast.compile_layers:
                compile_layers(self.model, self.fast.activation_budget)
        # The trainer moves it there too, but only after what is prepared has been computed.
        self.model.to(self.trainer.strategy.root_device)
        if self.fast.fuse_projections and fresh:
            self._groups = fuse_projections(self.model)
        for group in self._groups:
            group.attach()
        self.prepare()
        # After the method has prepared the task, which may add parameters.
        self._forget_recordings()
        if self.fast.cuda_graphs and self.method.fixed_in_task:
            self._recorder = Recorder(self._compute, self.model.parameters())

    def _forget_recordings(self) -> None:
        if self._recorder is not None:
            self._recorder.release()
        self._recorder = None

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Look at the positions while they are on the host, where nothing waits for it."""
        if not self.training:
            return batch
        if self.fast.flash_attention:
            self._layout = self._layout_of(batch)
        if self.trainer.strategy.root_device.type == "cuda":
            # From other memory the copy would wait for the step before.
            batch = {name: values.pin_memory() for name, values in batch.items()}
            self._layout = self._layout.pinned()
        return batch

    def _layout_of(self, batch: Batch) -> Layout:
        return Layout.of(batch["position_ids"], self.model, self.trainer.precision)

    def on_train_start(self) -> None:
        """Start the random numbers of a task afresh; a resumed task has those of its checkpoint."""
        if self.trainer.global_step == 0:
            seed_everything(ranks.own_seed(self.task_seed), verbose=False)

    def log(self, name: str, value: float | torch.Tensor, **options: object) -> None:
        """Hand NeMo's numbers to a progress bar, if there is one; `meters` writes the log.

        Lightning would copy each to the device, and wait for it there.
        """
        if self.trainer.progress_bar_callback is not None:
            super().log(name, value, **options)

    def training_step(
        self, batch: Batch, batch_idx: int | None = None, context_parallel: bool = False
    ) -> torch.Tensor:
        """Return the loss of a micro-batch with the penalties of the strategies.

        Every row of training is full, so that the mean over a step's micro-batches is the mean over
        its tokens, however the step is divided.

        Does what NeMo's step does, but for asking the device for its loss, and its padding, at
        once: the device would have nothing to do until it has answered and is given more.
        """
        if self.timestamp is None:
            self.timestamp = time.perf_counter()
        layout = self._layout.to(batch["labels"].device)
        compute = self._recorder or self._compute
        loss = compute(layout.added_to(batch), whole_rows=layout.whole_rows)
        self.loss_buffer.append(loss.detach())
        self.n_tok += batch["labels"].numel()
        self._layout = Layout()
        # By now the device has work, so that it does not wait while older numbers are read.
        self.settle()
        self.readings.loss(loss, self.trainer.global_step + 1)
        if not loss.is_cuda:
            self.settle()
        for strategy in self.strategies:
            penalty = strategy.penalty(self.context)
            if penalty is not None:
                loss = loss + penalty
        return loss

    def _compute(self, batch: Batch, whole_rows: bool) -> torch.Tensor:
        """Return the mean loss of a batch, in nats a token."""
        before = self._layout
        self._layout = Layout(whole_rows, batch.get("boundaries"))
        try:
            inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
            logits = self.forward(inputs).logits
            return self.loss_fn(logits.flatten(0, 1), batch["labels"].flatten())
        finally:
            self._layout = before

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the mean loss of a batch in nats a token, in the precision of the run."""
        layout = Layout()
        if self.fast.flash_attention:
            layout = self._layout_of(batch)
        with self.trainer.precision_plugin.train_step_context():
            return self._compute(layout.added_to(batch), layout.whole_rows)

    def forward(self, batch: Batch, num_logits_to_keep: int | None = None) -> ModelOutput:
        """Run the model; with a chunked cross-entropy the output layer is left to the loss."""
        with ExitStack() as changes:
            layout = self._layout.to(self.model.device)
            if not layout.masked:
                changes.enter_context(without_mask(self.model))
            if self.fast.cross_entropy_chunk:
                changes.enter_context(headless(self.model))
            return super().forward(layout.added_to(batch), num_logits_to_keep)

    def _chunked_loss(
        self, hidden: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Take the place of NeMo's loss, which is given what `forward` returns: (N, width)."""
        if mask is not None:
            labels = labels.masked_fill(mask.flatten() == 0, UNSCORED)
        weight = self.model.get_output_embeddings().weight
        return linear_cross_entropy(hidden, weight, labels, self.fast.cross_entropy_chunk)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Let the strategies change the gradient; it is unscaled and all-reduced by now."""
        self._close_nemo_log(optimizer)
        for strategy in self.strategies:
            strategy.project(self.context, self.trainer.global_step + 1)

    def _close_nemo_log(self, optimizer: Optimizer) -> None:
        """End NeMo's log of a step, which nobody reads.

        It would make several processes wait for each other twice a step, and fails where the model
        is divided.
        """
        if ranks.count() == 1:
            super().on_before_optimizer_step(optimizer)
        else:
            self.loss_buffer, self.n_tok = [], 0

    def optimizer_step(self, *arguments: object, **options: object) -> None:
        """Step, and forget the gradients, which Lightning would keep until after the next forward
        pass: their memory is then there for activations."""
        super().optimizer_step(*arguments, **options)
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the global norm as Lightning would; keep the norm from before and the rate for the
        log (the schedule moves on before the step is logged)."""
        self.applied_learning_rate = float(optimizer.param_groups[0]["lr"])
        limit = gradient_clip_val or math.inf
        norm = sharding.clip_gradients(sharding.parameters_of(optimizer), limit)
        self.readings.norm(norm, self.trainer.global_step + 1)
        if not norm.is_cuda:
            self.settle()

    def settle(self) -> None:
        """Look at the numbers noted so far: when more work is under way, and before any is used.

        Raises:
            Diverged: one is not finite.
        """
        self.readings.settle(getattr(self.trainer.precision_plugin, "scaler", None) is not None)

    @property
    def gradient_norm(self) -> float:
        """The norm of the newest gradient that was looked at, before it was clipped."""
        return self.readings.gradient_norm

    def take_losses(self) -> list[Reading]:
        """Return the losses of the micro-batches since the last call, in nats a token."""
        return self.readings.take_losses()

    def measures(self) -> dict[str, float]:
        """Return what the strategies say of the step just taken, each number under its name.

        With a loss scale also that, and the steps of the run that it made skip.
        """
        scale = precision.scale(self.trainer.precision_plugin)
        scaling = {} if scale is None else {
            "loss_scale": scale, "skipped_steps": self.readings.skipped_steps,
        }  # fmt: skip
        return scaling | {
            f"{type(strategy).__name__.lower()}_{name}": value if math.isfinite(value) else None
            for strategy in self.strategies
            for name, value in strategy.measures().items()
        }

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep what the method trains only, with the state of the random generators.

        Frozen weights stand in the base model's folder already.
        """
        self.settle()
        with sharding.gathered(self.model, trained_only=True):
            checkpoint["state_dict"] = self.method.state(self.model)
        checkpoint["random_states"] = ranks.gather(checkpoints.random_states())
        checkpoints.count_batch(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Take back the state of the random generators."""
        checkpoints.set_random_states(checkpoint["random_states"][ranks.rank()])

    def load_state_dict(self, state_dict: dict, strict: bool = True, assign: bool = False) -> None:
        """Load what `on_save_checkpoint` kept."""
        self.method.load_state(self.model, sharding.like_parameters(self.model, state_dict))
