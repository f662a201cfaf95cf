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

import torch
from nemo import lightning as nl
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from jadapt.training import ranks
from jadapt.training.fast.compiling import layers


class ShardedStrategy(nl.FSDP2Strategy):
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
        """Return the whole state, on the host, in the first process; its skeleton in others."""
        state = getattr(optimizer, "_optimizer", optimizer).state_dict()
        return state | {
            "state": {
                index: {name: _whole(value) for name, value in values.items()}
                for index, values in state["state"].items()
            }
        }

    def load_optimizer_state_dict(self, checkpoint: dict[str, Any]) -> None:
        """Divide a whole state as the parameters are divided."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            divided = {
                index: {name: like(parameters[index], value) for name, value in values.items()}
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
    """Divide the layers one by one, then the rest of a model; once a run.

    What is not of a layer (embedding, output layer) stays whole from the forward pass to the
    backward pass, since a chunked loss reads the output layer after the model has returned.
    """
    if isinstance(model, FSDPModule):
        return
    mesh = device_mesh["data_parallel"]
    for layer in layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=mp_policy)
    fully_shard(model, mesh=mesh, mp_policy=mp_policy, reshard_after_forward=False)


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
    divided = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if isinstance(parameter, DTensor) and (parameter.requires_grad or not trained_only)
    ]
    kind, known = type(model), {}
    for module, name, parameter in divided:
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
        for module, name, parameter in divided:
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
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return this process's share of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _whole(value: Any) -> Any:
    """Gather a divided tensor on the host of the first process; others get an empty one."""
    if not isinstance(value, DTensor):
        return value
    whole = value.full_tensor()
    return whole.cpu() if ranks.is_first() else whole.new_empty(0, device="cpu")
