"""Dynamically expandable networks (Yoon et al., ICLR 2018) on a frozen transformer.

The original grows the layers of a small network neuron by neuron. Here a linear layer keeps its
weights and is given rank-one units (`den_units`), and the parts of the original apply to them:

1. Selective retraining. Gates of earlier units train under an l1 penalty; those that reach zero
   are out for the task. The others are trained on, under a quadratic penalty on their drift.
2. Expansion. While the validation loss stays above a threshold, units are added, under a group
   lasso. The threshold is a share of what the model without any unit has on the same rows: as an
   absolute number it would be above what one task starts with and below what another can reach.
3. Splitting and time stamps. A unit that drifted far is split: the task gets a duplicate, with its
   own stamp, and earlier tasks keep the original. What drifted less is kept, for all tasks.

So a finished task is exact, told which it is, but for the units that it shares with later ones:
what these retrained, it computes with as well. Its gates, its units that were split, and units that
no later task selected are as at its end, and none that came later takes part.

Two differences from the original. After a split it trains once more, with original and duplicate;
here the duplicate takes the place of the original in the new task, so nothing is left to train. And
its released code duplicates the units that drifted least, and only in layers that were expanded;
the paper's rule, used here, is every unit beyond the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jadapt.core.declarations import Field, Look, Number, Settings
from jadapt.core.errors import UserError
from jadapt.methods.base import Method
from jadapt.methods.peft import adapter_files
from jadapt.methods.peft.targets import TargetModules

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

    from jadapt.methods.base import Transform
    from jadapt.methods.peft.den_units import UnitBank


class DEN(Method):
    """A growing set of rank-one units on each linear layer named in ``target_modules``.

    Penalties act as proximal steps after the optimiser's. AdamW moves a parameter by about the
    learning rate, whatever the scale of the loss, so ``sparsity`` and ``group_sparsity`` count in
    such steps: at 0 nothing shrinks, below 1 a loss that pulls steadily wins, from 1 on it cannot.
    The group lasso weighs a unit by the root of its size (Yuan and Lin, 2006), by which the norm
    of AdamW's step grows too. ``drift_penalty`` acts like AdamW's decay of weights, towards the
    earlier values: a parameter that is pulled steadily comes to rest 1 / drift_penalty from its
    own.
    """

    key = "den"
    interpolates = False
    label = "DEN"
    family = "regularisation"
    order = 60
    look = Look("#7a3b6c", "X", "-.")
    summary = "A dynamically expandable network of rank-one units beside frozen weights."
    paragraph = r"""
    *DEN* @den was made for small classifiers. What is carried over to a transformer here are its
    rules, with a rank-one term as the unit that a network can grow by. At task $t$ a frozen matrix
    $W$ acts as
    $ W_t = W + sum_(i : s_i <= t) g_(t,i) b_i a_i^top, $ <eq-den>
    where $s_i$, the stamp, is the task at which unit $i$ came into being and $g_(t,i)$ is a gate.
    The rules are these. _Selective retraining:_ the gates of earlier units train first, under a
    penalty on their absolute values, which decides what a new task uses of the old; the units that
    are left then train on, under a quadratic penalty on their distance from what they were.
    _Expansion:_ while the loss on validation rows lies above a given share of what the model
    without units has there, units are added. _Pruning:_ a group lasso on each pair $(a_i, b_i)$,
    applied as a proximal step, sets units that are not needed to zero, and these are removed.
    _Splitting:_ where retraining moved a unit beyond a threshold, the moved copy becomes a unit
    with a new stamp and earlier tasks keep the old one; a unit that moved less is kept as retrained
    and shared by all tasks that use it.

    Given the task's identity, tasks before $t$ compute with the units that they had. What can
    change for them are those that they share with later tasks, by at most the threshold each time.
    This is no free lunch. Somebody has to name the task, for each text and at test time, and the
    model grows.
    <% if setting("evaluation.task_ids", true) %>No other method is told the task, so what is set
    beside the others is measured without it, all texts being given to the latest state; answers
    with the task named are shown apart.<% else %>In this study no method is told the task, and all
    texts are given to the latest state.<% endif +%>
    """
    citation = "den"
    # Its units are its own way against forgetting.
    supports = frozenset()
    # What a step costs depends on how far it has grown.
    benchmarked = False
    needs_task_id = True
    static_graph = False

    class Hyperparameters(Settings):
        """Of the growing units; see the class for the scale of the penalties."""

        target_modules: TargetModules
        units: int = Field(
            examples=[4], ge=1, description="Units that one expansion adds to each layer."
        )
        maximum_units: int = Field(
            examples=[16], ge=1, description="Units that a task may add to each layer."
        )
        expansion_threshold: Number = Field(
            examples=[0.2],
            gt=0,
            lt=1,
            description="Share of the validation loss without units that a task has to take away; "
            "the network grows until it has.",
        )
        selection_share: Number = Field(
            examples=[0.25],
            ge=0,
            lt=1,
            description="Share of the steps that selects among earlier units, before they are "
            "retrained.",
        )
        sparsity: Number = Field(
            examples=[0.01],
            ge=0,
            description="Strength of the l1 penalty on the gates of earlier units.",
        )
        group_sparsity: Number = Field(
            examples=[0.001], ge=0, description="Strength of the group lasso on new units."
        )
        drift_penalty: Number = Field(
            examples=[1.0],
            ge=0,
            description="Strength of the quadratic penalty on the drift of retrained units.",
        )
        drift_threshold: Number = Field(
            examples=[0.05],
            ge=0,
            description="Relative change above which a retrained unit is split.",
        )
        expansion_interval: int = Field(
            examples=[50], ge=1, description="Steps between two decisions to grow."
        )

    def __init__(self, settings: Mapping[str, Any]):
        super().__init__(settings)
        self._start: float | None = None

    def check(self, shape: PretrainedConfig) -> None:
        """Refuse a step of growth larger than the limit."""
        units, maximum = self.settings.units, self.settings.maximum_units
        if units > maximum:
            raise UserError(
                f"units: {units} is more than maximum_units {maximum}; "
                "lower it, or raise the maximum"
            )

    def transform(self) -> Transform:
        """Return a NeMo transform that gives the target layers empty banks and freezes the rest."""
        from jadapt.methods.peft.den_banks import nemo_transform

        return nemo_transform(frozenset(self.settings.target_modules))

    def apply(self, model: PreTrainedModel) -> None:
        """Give the target layers empty banks and freeze the rest, without NeMo."""
        from jadapt.methods.peft.den_banks import attach_to

        model.requires_grad_(False)
        targets = frozenset(self.settings.target_modules)
        # A list, since banks become modules of the model on the way.
        for path, module in list(model.named_modules()):
            attach_to(targets, path.rpartition(".")[2], module)

    def begin_task(self, model: PreTrainedModel, index: int) -> None:
        """Create the parameters of task ``index``, which start from the model of the task before.

        Where no earlier task left a unit there is nothing to select, and the first units are added
        at once: the model without units is the one that the threshold is a share of.

        Raises:
            UserError: another task's turn.
        """
        from jadapt.methods.peft.den_banks import banks_of, seed_of

        found = banks_of(model)
        tasks = next(iter(found.values())).tasks
        if index != tasks + 1:
            raise UserError(f"den: {tasks} tasks are finished, so the next is not task {index}")
        seed = seed_of(found)
        earlier = any(bank.count for bank in found.values())
        self._start = None
        model.requires_grad_(False)
        for name, bank in found.items():
            bank.seed = seed
            bank.begin(
                self.settings.maximum_units,
                selecting=earlier and self.settings.selection_share > 0,
            )
            if not earlier:
                bank.grow(name, self.settings.units)

    def after_step(
        self,
        model: PreTrainedModel,
        step: int,
        steps: int,
        learning_rate: float,
        validation_loss: Callable[[], float],
    ) -> None:
        """Apply the penalties, end the selection when it is time, and grow if need be."""
        from jadapt.methods.peft.den_banks import banks_of

        found = banks_of(model)
        selection = self._selection_steps(found, steps)
        for bank in found.values():
            if bank.selecting:
                bank.shrink_gates(learning_rate * self.settings.sparsity)
                if step >= selection:
                    bank.fix_gates()
            else:
                bank.pull_back(learning_rate * self.settings.drift_penalty)
            bank.shrink_new(learning_rate * self.settings.group_sparsity * bank.unit_size**0.5)
        since = step - selection
        # Units that are added after the last step would never be trained.
        if since < 0 or step == steps or since % self.settings.expansion_interval:
            return
        full = all(bank.active == self.settings.maximum_units for bank in found.values())
        if full or self._fits(found, validation_loss):
            return
        for name, bank in found.items():
            bank.grow(name, self.settings.units)

    def _fits(self, found: dict[str, UnitBank], validation_loss: Callable[[], float]) -> bool:
        """Tell whether the units took away the share of the loss that they have to.

        The loss without units is that of frozen weights: a resumed task measures it again and
        finds the same number.
        """
        if self._start is None:
            for bank in found.values():
                bank.show(0)
            self._start = validation_loss()
            for bank in found.values():
                bank.show(None)
        return validation_loss() <= (1 - self.settings.expansion_threshold) * self._start

    def end_task(self, model: PreTrainedModel, index: int) -> None:
        """Keep, split, prune and stamp (`UnitBank.finish`); no trainable parameter is left."""
        from jadapt.methods.peft.den_banks import banks_of

        for bank in banks_of(model).values():
            bank.finish(self.settings.drift_threshold)

    def for_task(self, model: PreTrainedModel, index: int | None) -> None:
        """Compute with the units of task ``index``; 0: as the base model; None: the latest.

        During a task the latest is the model in training.

        Raises:
            UserError: no such task was finished.
        """
        from jadapt.methods.peft.den_banks import banks_of

        for bank in banks_of(model).values():
            if index is not None and not 0 <= index <= bank.tasks:
                raise UserError(f"den: no task {index} here; {bank.tasks} tasks are finished")
            bank.show(index)

    def save(self, model: PreTrainedModel, directory: Path) -> None:
        """Write the finished units, their stamps and the gates of all tasks; no base weights."""
        from jadapt.methods.peft.den_banks import finished

        adapter_files.write(directory, self.key, self.settings, finished(model))

    def restore(self, model: PreTrainedModel, directory: Path) -> None:
        """Read back what `save` wrote; the number of units follows from the tensors."""
        from jadapt.methods.peft.den_banks import load_finished

        load_finished(model, adapter_files.read(directory, self.key), directory)

    def state(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Return the trainable parameters and, a layer, how far selection and growth got."""
        from jadapt.methods.parameters import trainable_state
        from jadapt.methods.peft.den_banks import banks_of

        state = trainable_state(model)
        for name, bank in banks_of(model).items():
            state |= {f"{name}.{key}": tensor for key, tensor in bank.progress().items()}
        return state

    def load_state(self, model: PreTrainedModel, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state` returned, once `begin_task` was called."""
        from jadapt.methods.parameters import load_trainable
        from jadapt.methods.peft.den_banks import banks_of

        load_trainable(model, state, "checkpoint")
        for name, bank in banks_of(model).items():
            bank.load_progress({key: state[f"{name}.{key}"] for key in bank.progress()})

    def trainable_count(self, model: PreTrainedModel) -> int:
        """Return the scalars that the task in training, or else the last one, trains.

        Gates, copies of selected units and active new units; not the room kept for more of them,
        which ``requires_grad`` counts too.
        """
        from jadapt.methods.peft.den_banks import banks_of

        return sum(bank.trainable_count() for bank in banks_of(model).values())

    def stored_count(self, model: PreTrainedModel) -> int:
        """Return the scalars of all finished units, of whichever task."""
        from jadapt.methods.peft.den_banks import banks_of

        return sum(bank.count * bank.unit_size for bank in banks_of(model).values())

    def _selection_steps(self, found: dict[str, UnitBank], steps: int) -> int:
        if not any(bank.count for bank in found.values()):
            return 0
        return max(1, round(self.settings.selection_share * steps))
