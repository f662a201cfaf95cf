"""Banks of rank-one units beside frozen linear layers: what they hold and how they compute.

A unit adds g b (a . x) to the output of the layer: a has the layer's inputs, b its outputs, and g
is a gate that every task sets for itself. This is the neuron of dynamically expandable networks
(Yoon et al., ICLR 2018) carried over to a pre-trained transformer, whose own weights stay as they
are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from jadapt.methods.peft.den_operators import group_shrinkage, relative_drift

# AdamW moves no parameter by much more than the learning rate in a step. A gate has to get from one
# to zero within the few dozen steps of a selection, so its parameter is the gate over this number.
GATE_SPEED = 30.0
_ATTRIBUTE = "units"


class UnitBank(nn.Module):
    """The units of one linear layer, finished and in training.

    Finished, with N units after T tasks (buffers):
        a, b: (N, inputs) and (N, outputs), float32; a later task may retrain a unit for all tasks
            that use it.
        stamps: (N,) int64, the task that a unit was born in.
        task_gates: (T, N), row t - 1 the gates of task t; zero for units that it does not use.

    In training (parameters, present between `begin` and `finish` only):
        gate: (N,), the gates divided by `GATE_SPEED`; trained while ``selecting``.
        copy_a, copy_b: working copies of the N earlier units; the selected ones are trained after.
        new_a, new_b: (maximum, …); the first ``active`` rows are units, the others exact zeros. For
            a zero unit both gradients are zero, so AdamW and its weight decay leave it zero.
    """

    def __init__(self, inputs: int, outputs: int, device: torch.device):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        empty = {"dtype": torch.float32, "device": device}
        self.register_buffer("a", torch.zeros(0, inputs, **empty), persistent=False)
        self.register_buffer("b", torch.zeros(0, outputs, **empty), persistent=False)
        stamps = torch.zeros(0, dtype=torch.int64, device=device)
        self.register_buffer("stamps", stamps, persistent=False)
        self.register_buffer("task_gates", torch.zeros(0, 0, **empty), persistent=False)
        for name in ("used_a", "used_b", "fixed_gates", "selected", "gate_trains"):
            self.register_buffer(name, None, persistent=False)
        self.seed: int | None = None
        self.trained = 0
        self._end_training()
        self.show(None)

    @property
    def count(self) -> int:
        """Number of finished units, N."""
        return self.a.shape[0]

    @property
    def tasks(self) -> int:
        """Number of finished tasks, T."""
        return self.task_gates.shape[0]

    @property
    def unit_size(self) -> int:
        """Scalars of one unit."""
        return self.inputs + self.outputs

    @property
    def in_training(self) -> bool:
        """Whether a task has begun and not ended."""
        return self.new_a is not None

    def forward(self, inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Add the units' part to ``outputs`` (…, outputs), the layer's own, for ``inputs``."""
        shown = self.shown is not None or not self.in_training
        a, b = (self.used_a, self.used_b) if shown else self._in_use()
        if a.shape[0] == 0:
            return outputs
        hidden = functional.linear(inputs, a.to(inputs.dtype))
        return outputs + functional.linear(hidden, b.t().to(inputs.dtype))

    def show(self, task: int | None) -> None:
        """Compute as for ``task`` from now on; None: the one in training, or the last finished.

        The units of the task are gathered into matrices of their own, so that units that came later
        change nothing, the order of the sums included.
        """
        self.shown = task
        task = self.tasks if task is None else task
        gates = self.task_gates[task - 1] if task else self.a.new_zeros(self.count)
        used = _positions(gates)
        self.used_a = self.a[used]
        self.used_b = self.b[used] * gates[used, None]

    def begin(self, maximum: int, selecting: bool) -> None:
        """Create the parameters of the next task, with room for ``maximum`` new units.

        Gates start as the task before left them. So a task starts from the model of the one before;
        with all of them at one, a unit and its duplicate would count twice.
        """
        self.trained = 0
        start = self.task_gates[-1].clone() if self.tasks else self.a.new_zeros(self.count)
        self.new_a = nn.Parameter(self.a.new_zeros(maximum, self.inputs))
        self.new_b = nn.Parameter(self.b.new_zeros(maximum, self.outputs))
        self.active = 0
        if self.count:
            self.gate = nn.Parameter(start / GATE_SPEED)
            self.copy_a = nn.Parameter(self.a.clone())
            self.copy_b = nn.Parameter(self.b.clone())
        self.fixed_gates = start
        self.set_selecting(selecting)
        self.show(None)

    def set_selecting(self, selecting: bool) -> None:
        """Set what trains: the gates, or the copies of the units that ``fixed_gates`` selects."""
        self.selecting = selecting
        self.gate_trains = torch.tensor(selecting, device=self.a.device)
        self.selected = None if selecting else _positions(self.fixed_gates)

    @torch.no_grad()
    def shrink_gates(self, threshold: float) -> None:
        """Apply the proximal operator of the l1 norm (soft threshold) to the gates' parameter."""
        if self.count:
            self.gate.copy_(functional.softshrink(self.gate, threshold))

    @torch.no_grad()
    def shrink_new(self, threshold: float) -> None:
        """Apply `group_shrinkage` to the new units."""
        a, b = group_shrinkage(self.new_a, self.new_b, threshold)
        self.new_a.copy_(a)
        self.new_b.copy_(b)

    @torch.no_grad()
    def pull_back(self, weight: float) -> None:
        """Apply the proximal operator of ``weight`` / 2 |z - z0|^2 to the copies, z0 the originals.

        (z + weight z0) / (1 + weight): a share weight / (1 + weight) of the way back.
        """
        if self.count and not self.selecting:
            share = weight / (1 + weight)
            self.copy_a.lerp_(self.a, share)
            self.copy_b.lerp_(self.b, share)

    @torch.no_grad()
    def fix_gates(self) -> None:
        """End the selection: gates keep their values, units at zero are out for this task."""
        if self.count:
            self.fixed_gates = self.gate * GATE_SPEED
            # Weight decay has worked on them, though no gradient has.
            self.copy_a.copy_(self.a)
            self.copy_b.copy_(self.b)
        self.set_selecting(False)

    @torch.no_grad()
    def grow(self, layer: str, count: int) -> None:
        """Make up to ``count`` more new units active: a by Kaiming's rule, b zero.

        a is drawn from U(-1 / sqrt(inputs), 1 / sqrt(inputs)), as LoRA draws it, by a generator
        whose seed depends on the run, the name of the layer, the task and the row alone.
        """
        first, last = self.active, min(self.active + count, self.new_a.shape[0])
        generator = torch.Generator("cpu").manual_seed(
            _mix(self.seed, layer, self.tasks + 1, first)
        )
        limit = self.inputs**-0.5
        drawn = torch.empty(last - first, self.inputs, device="cpu").uniform_(
            -limit, limit, generator=generator
        )
        self.new_a[first:last].copy_(drawn)
        self.active = last

    @torch.no_grad()
    def finish(self, drift_threshold: float) -> None:
        """End the task: keep what was retrained, split what drifted, append the new units.

        A copy that moved by at most ``drift_threshold`` (`relative_drift`) takes the place of the
        original, for every task that uses it. One that moved further is split off: it becomes a
        unit of this task, its gate multiplied into b, and takes the place of the original in this
        task alone, so that earlier tasks keep the unit as it was. Units that the task did not
        select stay. New units that add nothing (a or b exactly zero, as the group lasso leaves
        them) are pruned.
        """
        if self.selecting:
            self.fix_gates()
        self.trained = self.trainable_count()
        gates = self.fixed_gates.clone()
        a, b = [self.a.clone()], [self.b.clone()]
        if self.count:
            split = relative_drift(self.copy_a, self.copy_b, self.a, self.b) > drift_threshold
            used = gates != 0
            shared, split = used & ~split, used & split
            a[0][shared], b[0][shared] = self.copy_a[shared], self.copy_b[shared]
            a.append(self.copy_a[split])
            b.append(self.copy_b[split] * gates[split, None])
            gates[split] = 0
        alive = (self.new_a != 0).any(1) & (self.new_b != 0).any(1)
        a.append(self.new_a[alive])
        b.append(self.new_b[alive])
        self._append(torch.cat(a), torch.cat(b), gates)

    def trainable_count(self) -> int:
        """Return the scalars that the task in training, or else the last one, trains."""
        if not self.in_training:
            return self.trained
        copies = self.count if self.selecting else len(self.selected)
        return (self.active + copies) * self.unit_size + self.count

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take back finished units, as `stored` returned them."""
        self._end_training()
        for name in ("a", "b", "stamps", "task_gates"):
            setattr(self, name, tensors[name].to(self.a.device))
        self.trained = int(tensors["trained"])
        self.show(None)

    def stored(self) -> dict[str, torch.Tensor]:
        """Return the finished units as tensors."""
        return {
            "a": self.a,
            "b": self.b,
            "stamps": self.stamps,
            "task_gates": self.task_gates,
            "trained": torch.tensor(self.trained),
        }

    def progress(self) -> dict[str, torch.Tensor]:
        """Return what a checkpoint within a task needs beside the parameters."""
        numbers = torch.tensor([self.active, int(self.selecting), self.seed])
        return {"progress": numbers, "fixed_gates": self.fixed_gates}

    def load_progress(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take back what `progress` returned."""
        self.active, selecting, self.seed = tensors["progress"].tolist()
        self.fixed_gates = tensors["fixed_gates"].to(self.a.device)
        self.set_selecting(bool(selecting))

    def _in_use(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all units that the task in training uses, gates multiplied into b.

        `torch.where` keeps what does not train in the graph, with gradients of zero: devices that
        train together expect a gradient for every parameter.
        """
        # At least one row, for the same reason.
        rows = max(self.active, 1)
        a, b = self.new_a[:rows], self.new_b[:rows]
        if not self.count:
            return a, b
        gates = torch.where(self.gate_trains, self.gate * GATE_SPEED, self.fixed_gates)
        earlier_a = torch.where(self.gate_trains, self.a, self.copy_a)
        earlier_b = torch.where(self.gate_trains, self.b, self.copy_b) * gates[:, None]
        if self.selected is not None:
            earlier_a, earlier_b = earlier_a[self.selected], earlier_b[self.selected]
        return torch.cat([earlier_a, a]), torch.cat([earlier_b, b])

    def _append(self, a: torch.Tensor, b: torch.Tensor, kept: torch.Tensor) -> None:
        before, tasks = self.count, self.tasks
        gates = a.new_zeros(tasks + 1, len(a))
        gates[:tasks, :before] = self.task_gates
        gates[tasks, :before] = kept
        gates[tasks, before:] = 1
        born = self.stamps.new_full((len(a) - before,), tasks + 1)
        self.a, self.b, self.task_gates = a, b, gates
        self.stamps = torch.cat([self.stamps, born])
        self._end_training()
        self.show(None)

    def _end_training(self) -> None:
        for name in ("gate", "copy_a", "copy_b", "new_a", "new_b"):
            self.register_parameter(name, None)
        self.fixed_gates = self.selected = self.gate_trains = None
        self.active, self.selecting = 0, False


def attach(linear: nn.Linear) -> None:
    """Give ``linear`` an empty bank, as its submodule ``units``; its weights keep their names."""
    if not hasattr(linear, _ATTRIBUTE):
        bank = UnitBank(linear.in_features, linear.out_features, linear.weight.device)
        setattr(linear, _ATTRIBUTE, bank)
        linear.register_forward_hook(_add_units)


def banks(model: nn.Module) -> Iterator[tuple[str, UnitBank]]:
    """Yield the banks of ``model`` with the names of their linear layers."""
    for name, module in model.named_modules():
        if isinstance(module, UnitBank):
            yield name.removesuffix(f".{_ATTRIBUTE}"), module


def _add_units(
    linear: nn.Linear, inputs: tuple[torch.Tensor, ...], outputs: torch.Tensor
) -> torch.Tensor:
    return getattr(linear, _ATTRIBUTE)(inputs[0], outputs)


def _positions(gates: torch.Tensor) -> torch.Tensor:
    """Return where ``gates`` are not zero; without looking when there are none (meta tensors)."""
    if len(gates) == 0:
        return torch.zeros(0, dtype=torch.int64, device=gates.device)
    return gates.nonzero()[:, 0]


def _mix(*parts: object) -> int:
    """Return a 63-bit seed that depends on all ``parts``."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
