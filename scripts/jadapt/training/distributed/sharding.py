"""FSDP2 through NeMo's strategy: each process holds a share of every tensor of the model.

NeMo 2.5.3's `FSDP2Strategy` is the base; what is replaced here does not work with the torch of this
project or with its files: the division of the model and the reduced log read a table that torch
no longer has, the state of the optimiser is never read back, checkpoints hold one process's share,
and steps run without the precision of the trainer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from nemo import lightning as nl
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from jadapt.core.bucketing import divide
from jadapt.training.distributed import ranks
from jadapt.training.distributed.averaging import AveragingOnce
from jadapt.training.kernels.compiling import compile_within_hooks, layers

# Weights of this many bytes are gathered as one message: a message of a small layer takes longer to
# launch than to send.
MESSAGE = 2**27
# Layers of fewer bytes in all count as small.
SMALL = 2**31


class Share(nn.Parameter):
    """This process's part of a divided parameter, in the same memory, as the optimiser has it.

    Steps through divided tensors themselves take the host longer than the device: several tenths of
    a second for the 420 small ones of LoRA on SmolLM2-135M.
    """

    divided: nn.Parameter

    @classmethod
    def of(cls, parameter: nn.Parameter) -> nn.Parameter:
        """Return the share of a parameter; one that is not divided is its own."""
        if not isinstance(parameter, DTensor):
            return parameter
        share = cls(parameter.detach().to_local())
        share.divided = parameter
        return share

    def whole(self, value: torch.Tensor) -> torch.Tensor:
        """Gather what belongs to this as a part does, on the host of the first process."""
        like = self.divided
        return _whole(
            DTensor.from_local(
                value, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
            )
        )


class ShardedStrategy(AveragingOnce, nl.FSDP2Strategy):
    """NeMo's FSDP2 over all devices of a run, with this project's precision and checkpoints."""

    def __init__(self, devices: int):
        super().__init__(
            data_parallel_size=devices,
            tensor_parallel_size=1,
            use_hf_tp_plan=False,
            # Weights are gathered as they are kept; what is computed in 16 bits is the business
            # of the trainer's precision, as on one device. Gradients are summed in float32.
            mp_policy=MixedPrecisionPolicy(reduce_dtype=torch.float32),
            parallelize_fn=shard,
        )

    def setup(self, trainer: pl.Trainer) -> None:
        """Let the optimiser have this process's shares."""
        super().setup(trainer)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["params"] = [Share.of(parameter) for parameter in group["params"]]

    # Else each share would be a new part of a graph of gradients.
    @torch.no_grad()
    def post_backward(self, closure_loss: torch.Tensor) -> None:
        """Add what a micro-batch gave to the gradients that the optimiser sees."""
        super().post_backward(closure_loss)
        shares, whole = _apart(p for o in self.optimizers for p in parameters_of(o))
        for share in shares:
            fresh, share.divided.grad = share.divided.grad, None
            if fresh is None:
                continue
            if share.grad is None:
                share.grad = fresh.to_local()
            else:
                share.grad += fresh.to_local()
        self.average_complete(whole)

    def training_step(self, batch: Any, batch_idx: int | None = None) -> torch.Tensor:
        """Take a step in the trainer's precision."""
        with self.precision_plugin.train_step_context():
            return self.lightning_module.training_step(batch, batch_idx)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Leave the weights to the module, which keeps those that its method trains."""
        return {}

    def load_model_state_dict(self, checkpoint: dict[str, Any], strict: bool = False) -> None:
        """Load whole tensors; the module divides them."""
        self.lightning_module.load_state_dict(checkpoint["state_dict"], strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the whole state; of shares on the host, in the first process only."""
        optimizer = getattr(optimizer, "_optimizer", optimizer)
        state = optimizer.state_dict()
        parameters = parameters_of(optimizer)
        return state | {
            "state": {
                index: {k: _whole_state(parameters[index], v) for k, v in values.items()}
                for index, values in state["state"].items()
            }
        }

    def load_optimizer_state_dict(self, checkpoint: dict[str, Any]) -> None:
        """Divide a whole state as the parameters are divided."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = parameters_of(optimizer)
            divided = {
                index: {k: local(like(_divided(parameters[index]), v)) for k, v in values.items()}
                for index, values in state["state"].items()
            }
            optimizer.load_state_dict(state | {"state": divided})

    def remove_checkpoint(self, filepath: str | Path) -> None:
        """Delete a checkpoint as it was written."""
        if self.is_global_zero:
            self.checkpoint_io.remove_checkpoint(filepath)


def shard(
    model: nn.Module, device_mesh: DeviceMesh, mp_policy: MixedPrecisionPolicy, **unused: Any
) -> None:
    """Divide the layers, several in a message if they are small, then the rest; once a run.

    What trains stays whole, as with data parallel, if it is adapters that one message holds: their
    memory is nothing beside the frozen weights', and the host takes longer for each of hundreds of
    small parameters than the devices for what these compute.

    What is not of a layer (embedding, output layer) stays whole from the forward pass to the
    backward pass, since a chunked loss reads the output layer after the model has returned; a small
    model all does, since gathering it once more costs more than its memory.
    """
    if isinstance(model, FSDPModule):
        return
    whole = _adapters(model)
    options = {
        "mesh": device_mesh["data_parallel"], "mp_policy": mp_policy, "ignored_params": whole,
    }  # fmt: skip
    found = layers(model)
    for layer in found:
        compile_within_hooks(layer)
    sizes = [sum(p.nbytes for p in layer.parameters() if p not in whole) for layer in found]
    for together in divide(found, sizes, MESSAGE):
        fully_shard(together, **options, reshard_after_forward=sum(sizes) >= SMALL)
    fully_shard(model, **options, reshard_after_forward=False)


def _adapters(model: nn.Module) -> set[nn.Parameter]:
    """Return what trains if other weights do not, and one message holds it; else nothing."""
    trained = {p for p in model.parameters() if p.requires_grad}
    adapters = any(not p.requires_grad for p in model.parameters())
    return trained if adapters and sum(p.nbytes for p in trained) <= MESSAGE else set()


@contextmanager
def gathered(model: nn.Module, trained_only: bool = False) -> Iterator[None]:
    """Within, the first process's model is whole and on the host, to be saved; a model that is not
    divided is left alone. All processes have to come here, and the others' is not to be read.

    Args:
        model: the causal language model under training.
        trained_only: leave frozen parameters divided.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    for part in model.modules():
        # After an evaluation the outermost one is still whole, and would be for good.
        if isinstance(part, FSDPModule):
            part.reshard()
    wanted = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None and (parameter.requires_grad or not trained_only)
    ]
    kind, known = type(model), {}
    for module, name, parameter in wanted:
        if id(parameter) not in known:
            whole = _whole(parameter.detach())
            known[id(parameter)] = nn.Parameter(whole, requires_grad=parameter.requires_grad)
        # Tied ones stay tied.
        module._parameters[name] = known[id(parameter)]
    # FSDP2 gives a divided model a class of its own, whose name would be written down.
    model.__class__ = kind.__mro__[2]
    try:
        yield
    finally:
        model.__class__ = kind
        for module, name, parameter in wanted:
            module._parameters[name] = parameter


def like(reference: torch.Tensor, value: Any) -> Any:
    """Divide a whole tensor as ``reference`` is divided; what has another shape stays as it is."""
    if not isinstance(reference, DTensor) or not torch.is_tensor(value):
        return value
    if value.shape != reference.shape:
        return value
    # Every process has read the same file: nothing needs to be sent.
    return distribute_tensor(
        value.to(reference.device), reference.device_mesh, reference.placements, src_data_rank=None
    )


def like_parameters(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Divide whole tensors as the parameters of the same names are."""
    parameters = dict(model.named_parameters())
    return {
        name: like(parameters[name], value) if name in parameters else value
        for name, value in state.items()
    }


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> torch.Tensor:
    """Scale gradients so that their norm over all parameters, whole ones, is at most ``limit``.

    Returns:
        The norm before.
    """
    parameters = list(parameters)
    shares, whole = _apart(parameters)
    norm = _norm(whole)
    if shares:
        # The shares' squares, in one message; from divided ones torch would send one for each.
        own = _norm(shares)
        square = own.double().square()
        distributed.all_reduce(square)
        norm = (square + norm.double().square()).sqrt().to(own.dtype)
    nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def _norm(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return this process's share of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return what an optimiser steps through, in the order of its state."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def _apart(parameters: Iterable[nn.Parameter]) -> tuple[list[Share], list[nn.Parameter]]:
    """Return shares, and parameters that are not divided."""
    shares, whole = [], []
    for parameter in parameters:
        (shares if isinstance(parameter, Share) else whole).append(parameter)
    return shares, whole


def _divided(parameter: nn.Parameter) -> nn.Parameter:
    return parameter.divided if isinstance(parameter, Share) else parameter


def _whole_state(parameter: nn.Parameter, value: Any) -> Any:
    """Return the whole of an entry of a parameter's state; counts of steps are no tensors of it."""
    if isinstance(parameter, Share) and torch.is_tensor(value) and value.shape == parameter.shape:
        return parameter.whole(value)
    return value


def _whole(value: torch.Tensor) -> torch.Tensor:
    """Bring a tensor, divided or not, to the host of the first process; others get an empty one."""
    whole = value.full_tensor() if isinstance(value, DTensor) else value
    return whole.cpu() if ranks.is_rank_zero() else whole.new_empty(0, device="cpu")
