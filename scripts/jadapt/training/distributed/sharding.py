"""FSDP2 through NeMo's strategy: each process holds a shard of every tensor of the model.

This builds on `FSDP2Strategy` of NeMo 2.5.3 and replaces what does not work with the torch version
or the file formats of this project: its sharding and its log reduction read a table that torch no
longer has, it never loads the optimiser state, its checkpoints hold the shard of one process, and
its training steps ignore the trainer's precision.
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

# Weights of up to this many bytes are gathered together: for a small layer alone, launching the
# communication takes longer than the transfer.
MESSAGE = 2**27
# Models whose layers have fewer bytes in total stay gathered between forward and backward pass.
SMALL = 2**31


class Share(nn.Parameter):
    """The local shard of a sharded parameter, in the same memory; the optimiser works on it.

    An optimiser step on the DTensors themselves costs the host more time than the device: several
    tenths of a second for the 420 small parameters of LoRA on SmolLM2-135M.
    """

    divided: nn.Parameter

    @classmethod
    def of(cls, parameter: nn.Parameter) -> nn.Parameter:
        """Return the local shard of a parameter; the parameter itself if it is not sharded."""
        if not isinstance(parameter, DTensor):
            return parameter
        share = cls(local(parameter.detach()))
        share.divided = parameter
        return share

    def whole(self, value: torch.Tensor) -> torch.Tensor:
        """Gather a tensor that is sharded like this parameter on the CPU of rank 0."""
        like: Any = self.divided
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
            # Weights are gathered in the type that they are stored in; the precision plugin of the
            # trainer sees to 16-bit computation, as on one device. Gradients are summed in float32.
            mp_policy=MixedPrecisionPolicy(reduce_dtype=torch.float32),
            parallelize_fn=shard,
        )

    def setup(self, trainer: pl.Trainer) -> None:
        """Replace the optimiser's parameters by the local shards."""
        super().setup(trainer)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["params"] = [Share.of(parameter) for parameter in group["params"]]

    # Without no_grad the in-place additions would be recorded by autograd.
    @torch.no_grad()
    def post_backward(self, closure_loss: torch.Tensor) -> None:
        """Add the gradients of a micro-batch to those of the local shards."""
        super().post_backward(closure_loss)
        shares, whole = _apart(p for o in self.optimizers for p in parameters_of(o))
        for share in shares:
            fresh, share.divided.grad = share.divided.grad, None
            if fresh is None:
                continue
            if share.grad is None:
                share.grad = local(fresh)
            else:
                share.grad += local(fresh)
        self.average_complete(whole)

    def training_step(self, batch: Any, batch_idx: int | None = None) -> torch.Tensor:
        """Run the training step in the trainer's precision."""
        with self.precision_plugin.train_step_context():
            return self.lightning_module.training_step(batch, batch_idx)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return nothing: the module itself saves the weights that its method trains."""
        return {}

    def load_model_state_dict(self, checkpoint: dict[str, Any], strict: bool = False) -> None:
        """Load full tensors; the module shards them."""
        self.lightning_module.load_state_dict(checkpoint["state_dict"], strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the full state; that of sharded parameters is gathered by rank 0, on the CPU."""
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
        """Load a full state, sharding it like the parameters."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = parameters_of(optimizer)
            divided = {
                index: {k: local(like(_divided(parameters[index]), v)) for k, v in values.items()}
                for index, values in state["state"].items()
            }
            optimizer.load_state_dict(state | {"state": divided})

    def remove_checkpoint(self, filepath: str | Path) -> None:
        """Delete a checkpoint; only rank 0 does."""
        if self.is_global_zero:
            self.checkpoint_io.remove_checkpoint(filepath)


def shard(
    model: nn.Module, device_mesh: DeviceMesh, mp_policy: MixedPrecisionPolicy, **unused: Any
) -> None:
    """Shard the decoder layers, small ones in groups, then the rest of the model; once per run.

    Adapters of at most `MESSAGE` bytes beside frozen weights are not sharded but replicated, as in
    data parallelism: their memory is negligible, and handling hundreds of small sharded parameters
    takes the host longer than the devices need to compute.

    Parameters outside the layers (embedding, output layer) stay gathered from the forward to the
    backward pass, because a chunked loss reads the output layer after the model has returned. The
    layers of a small model stay gathered too, because gathering them a second time would cost more
    than the memory is worth.
    """
    if isinstance(model, FSDPModule):
        return
    whole = _adapters(model)
    options: dict[str, Any] = {
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
    """Return the trained parameters if others are frozen and they fit one message; else nothing."""
    trained = {p for p in model.parameters() if p.requires_grad}
    adapters = any(not p.requires_grad for p in model.parameters())
    return trained if adapters and sum(p.nbytes for p in trained) <= MESSAGE else set()


@contextmanager
def gathered(model: nn.Module, trained_only: bool = False) -> Iterator[None]:
    """Within the block, the model of rank 0 holds its full parameters on the CPU, to be saved.

    A model that is not sharded is left alone. All processes must enter the block; in ranks other
    than 0 the parameters are empty meanwhile.

    Args:
        model: the causal language model under training.
        trained_only: leave frozen parameters sharded.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    for part in model.modules():
        # After an evaluation the root module is still gathered; shard it, or it would stay so.
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
        # Tied parameters stay tied.
        module._parameters[name] = known[id(parameter)]
    # FSDP2 gives a sharded model a new class, whose name would be saved in the configuration.
    model.__class__ = kind.__mro__[2]
    try:
        yield
    finally:
        model.__class__ = kind
        for module, name, parameter in wanted:
            module._parameters[name] = parameter


def like(reference: torch.Tensor, value: Any) -> Any:
    """Shard a full tensor like ``reference``; a value of another shape is returned unchanged."""
    if not isinstance(reference, DTensor) or not torch.is_tensor(value):
        return value
    if value.shape != reference.shape:
        return value
    # Every process has read the same file, so no communication is needed.
    return distribute_tensor(
        value.to(reference.device), reference.device_mesh, reference.placements, src_data_rank=None
    )


def like_parameters(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Shard full tensors like the parameters of the same names."""
    parameters = dict(model.named_parameters())
    return {
        name: like(parameters[name], value) if name in parameters else value
        for name, value in state.items()
    }


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> torch.Tensor:
    """Clip the global gradient norm, over the full (unsharded) parameters, to ``limit``.

    Returns:
        The norm before clipping.
    """
    parameters = list(parameters)
    shares, whole = _apart(parameters)
    norm = _norm(whole)
    if shares:
        # Sum the squared norms of the shards with one all-reduce; torch would need one per DTensor.
        own = _norm(shares)
        square = own.double().square()
        distributed.all_reduce(square)
        norm = (square + norm.double().square()).sqrt().to(own.dtype)
    nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def _norm(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return the local shard of a tensor; the tensor itself if it is not sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return the parameters of an optimiser, in the order of its state."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def _apart(parameters: Iterable[nn.Parameter]) -> tuple[list[Share], list[nn.Parameter]]:
    """Separate local shards from parameters that are not sharded."""
    shares: list[Share] = []
    whole: list[nn.Parameter] = []
    for parameter in parameters:
        if isinstance(parameter, Share):
            shares.append(parameter)
        else:
            whole.append(parameter)
    return shares, whole


def _divided(parameter: nn.Parameter) -> nn.Parameter:
    return parameter.divided if isinstance(parameter, Share) else parameter


def _whole_state(parameter: nn.Parameter, value: Any) -> Any:
    """Gather one entry of a parameter's optimiser state; step counts need no gathering."""
    if isinstance(parameter, Share) and torch.is_tensor(value) and value.shape == parameter.shape:
        return parameter.whole(value)
    return value


def _whole(value: torch.Tensor) -> torch.Tensor:
    """Return a full tensor on the CPU of rank 0; the other ranks get an empty one."""
    whole = value.full_tensor() if isinstance(value, DTensor) else value
    return whole.cpu() if ranks.is_rank_zero() else whole.new_empty(0, device="cpu")
