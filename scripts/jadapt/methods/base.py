"""What every adaptation method is: which parameters exist, which train, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from jadapt.core.declarations import CHANGES, WEIGHTS, Declared

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    Transform = Callable[[nn.Module], nn.Module]


class Method(Declared):
    """Nothing added, everything trains: the base of the methods, which override what they change.

    A registered method declares what `Declared` names, and where it differs:

    Attributes:
        supports: what strategies may change in a run with it (`CHANGES`), the weights aside.
        needs_task_id: whether the model computes differently when it is told the task
            (`for_task`); a study then has to measure it both ways.
        interpolates: whether weights between the base model and the adapted one mean something
            (`jadapt.methods.interpolation`); a strategy may then change them.
        static_graph: whether the model stays the same computation from the first step of a task to
            its last, so that a step can be recorded.
    """

    supports: ClassVar[frozenset[str]] = CHANGES - {WEIGHTS}
    needs_task_id: ClassVar[bool] = False
    static_graph: ClassVar[bool] = True
    interpolates: ClassVar[bool] = True

    @classmethod
    def allows(cls) -> frozenset[str]:
        """Return what strategies may change; it composes with those that change nothing else."""
        return cls.supports | {WEIGHTS} if cls.interpolates else cls.supports

    def check(self, shape: PretrainedConfig) -> None:
        """Raise a `UserError` if the hyperparameters do not fit a model of this shape."""

    def transform(self) -> Transform | None:
        """Return NeMo's ``model_transform`` that adds and freezes parameters, or None."""
        return None

    def apply(self, model: PreTrainedModel) -> None:
        """Do the same in place to a model outside of NeMo, where a trained one is read back."""

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write what this method trained: here a whole Hugging Face checkpoint."""
        model.save_pretrained(directory)

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read back into ``model`` what `save` wrote."""
        from safetensors.torch import load_file

        from jadapt.methods.parameters import load_trainable

        load_trainable(model, load_file(directory / "model.safetensors"), directory)

    def state(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return what a checkpoint within a task must hold of the model."""
        from jadapt.methods.parameters import trainable_state

        return trainable_state(model)

    def load_state(self, model: PreTrainedModel, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state` returned."""
        from jadapt.methods.parameters import load_trainable

        load_trainable(model, state, "checkpoint")

    def weight_delta(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return, by name, the tensors that a penalty on weights is about; differentiable.

        Here the trainable parameters themselves. Where these only parameterise a change of the
        weights, as the two factors of LoRA do, the change: two pairs of factors with the same
        product are the same model.
        """
        return {name: p for name, p in model.named_parameters() if p.requires_grad}

    def weight_delta_leaves(self, model: PreTrainedModel) -> dict[str, nn.Parameter]:
        """Return the parameters with the gradients of `weight_delta`, under the same names."""
        return {name: p for name, p in model.named_parameters() if p.requires_grad}

    def interpolated_names(self, model: PreTrainedModel) -> list[str]:
        """Return the parameters that a share of the change is taken of.

        The base model has them under the same name, or adds nothing where they are zero.
        """
        return [name for name, p in model.named_parameters() if p.requires_grad]

    def interpolate(
        self, model: PreTrainedModel, before: dict[str, torch.Tensor], share: float
    ) -> float:
        """Put the weights at ``share`` of the way that they went since ``before``, in place.

        Args:
            model: after a task.
            before: what `state` returned at its start.
            share: in [0, 1]; at 0 the weights are those of before.

        Returns:
            The part of the change that could not be kept, relative to it (0: all was).
        """
        import torch

        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in before:
                    parameter.lerp_(before[name].to(parameter), 1 - share)
        return 0.0

    def learning_rate_factors(self, model: PreTrainedModel) -> dict[str, float]:
        """Return by name the parameters that train at a multiple of the learning rate."""
        return {}

    def trainable_count(self, model: PreTrainedModel) -> int:
        """Return the number of parameters that the task under training may change."""
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    def begin_task(self, model: PreTrainedModel, index: int) -> None:
        """Prepare for task ``index`` (1 is the first after pre-training), before its optimiser."""

    def after_step(
        self,
        model: PreTrainedModel,
        step: int,
        steps: int,
        learning_rate: float,
        validation_loss: Callable[[], float],
    ) -> None:
        """Act after optimiser step ``step`` of ``steps`` (1 is the first)."""

    def end_task(self, model: PreTrainedModel, index: int) -> None:
        """Act when the steps of task ``index`` are over, before the model is saved."""

    def for_task(self, model: PreTrainedModel, index: int | None) -> None:
        """Make the model compute as it did for task ``index`` (0: before any; None: the latest).

        Only methods that keep something a task differ.
        """
