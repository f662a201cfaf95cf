"""CUDA graphs: record the forward and backward pass of a micro-batch once, then replay them.

A training step of a small model consists of thousands of short kernels, and the GPU waits for each
launch; a recorded graph is launched as a whole. A recording reads its batch from fixed memory and
writes the gradients to fixed memory, so batches are copied in before a replay.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from jadapt.core.errors import UserError

Batch = dict[str, torch.Tensor]
Tensors = Sequence[torch.Tensor | None]
# Records a function: returns its results, and a function that recomputes them in the same memory.
Capture = Callable[[Callable[[], Tensors]], tuple[Tensors, Callable[[], None]]]

# The number of batch shapes that are recorded; batches of further shapes are computed eagerly.
SHAPES = 4
# Eager runs before a recording, in which libraries choose algorithms and allocate workspaces.
WARM_UP = 3

_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


# The peak before the newest recording. The allocator counts the memory of a recording only while it
# is made.
_earlier_peak = 0


def reset_peak() -> None:
    """Start measuring `peak_bytes` from now on."""
    global _earlier_peak
    torch.cuda.reset_peak_memory_stats()
    _earlier_peak = 0


def peak_bytes() -> int:
    """Return the peak GPU memory in use, in bytes, including the memory of recordings."""
    hidden = sum(recorder.hidden_bytes for recorder in _recorders)
    return max(_earlier_peak, torch.cuda.max_memory_allocated() + hidden)


def _end_of_recording() -> None:
    """Save the peak so far, which includes the memory counted while the recording was made."""
    global _earlier_peak
    _earlier_peak = max(_earlier_peak, torch.cuda.max_memory_allocated())
    torch.cuda.reset_peak_memory_stats()


class Recorder:
    """Replays ``compute`` and its gradients, with one recording per shape of batch.

    Args:
        compute: returns the loss of a batch, a scalar. It may depend on nothing that changes except
            the batch and keyword arguments that select a kind of batch (each kind is recorded
            separately), and must not synchronise with the device.
        parameters: the parameters to train; their storage must not move.
        capture: how a function is recorded; by default, as a CUDA graph.
    """

    def __init__(
        self,
        compute: Callable[..., torch.Tensor],
        parameters: Iterable[torch.nn.Parameter],
        capture: Capture | None = None,
    ):
        self._compute = compute
        self._parameters = [p for p in parameters if p.requires_grad]
        self._recordings: dict[tuple, Recording] = {}
        self._graphs = None if capture else CudaGraphs()
        self._capture = capture
        self.hidden_bytes = 0
        _recorders.add(self)

    def __call__(self, batch: Batch, **kind: Hashable) -> torch.Tensor:
        """Return the loss of a micro-batch; its ``backward()`` accumulates into ``.grad``.

        Raises:
            UserError: the computation cannot be recorded.
        """
        shapes = ((name, tuple(v.shape), v.dtype) for name, v in sorted(batch.items()))
        key = (*shapes, *sorted(kind.items()))
        if key not in self._recordings:
            if len(self._recordings) == SHAPES:
                return self._compute(batch, **kind)
            self._recordings[key] = self._record(batch, kind)
        return self._recordings[key].replay(batch)

    def release(self) -> None:
        """Free the memory of all recordings now, without waiting for the garbage collector (the
        recordings and this object refer to each other)."""
        self._recordings.clear()
        self.hidden_bytes = 0

    def _record(self, batch: Batch, kind: dict[str, Hashable]) -> Recording:
        compute = partial(self._compute, **kind)
        recording = Recording(compute, self._parameters, batch, self._lent)
        if self._capture:
            recording.record(self._capture)
        elif self._graphs:
            self._graphs.warm_up(recording.try_once)
            recording.record(self._graphs)
            _end_of_recording()
            self.hidden_bytes = self._graphs.hidden_bytes()
        return recording

    def _lent(self) -> set[int]:
        """Return the addresses of all gradients that the replay of some recording overwrites."""
        return {
            gradient.data_ptr()
            for recording in self._recordings.values()
            for gradient in recording.gradients
            if gradient is not None
        }


class Recording:
    """The recorded forward and backward pass for one shape of batch."""

    def __init__(
        self,
        compute: Callable[[Batch], torch.Tensor],
        parameters: list[torch.nn.Parameter],
        batch: Batch,
        lent: Callable[[], set[int]],
    ):
        self._compute, self._parameters, self._lent = compute, parameters, lent
        self._batch = {name: value.clone() for name, value in batch.items()}
        # An input that requires a gradient: autograd calls the backward of a replayed loss because
        # of it, although the loss was not computed from it.
        self._anchor = torch.zeros((), device=parameters[0].device, requires_grad=True)
        self._upstream = torch.ones((), device=parameters[0].device, dtype=torch.float32)
        self._fresh: torch.Tensor | None = None
        self.gradients: Tensors = ()

    def try_once(self) -> None:
        """Compute loss and gradients eagerly, and discard them."""
        self._forward()
        self._backward()

    def record(self, capture: Capture) -> None:
        """Record the forward and the backward pass, which `replay` runs from then on."""
        losses, self._run_forward = capture(self._forward)
        self._loss: Any = losses[0]
        self.gradients, self._run_backward = capture(self._backward)

    def _forward(self) -> Tensors:
        with _no_cached_casts():
            self._fresh = fresh = self._compute(self._batch)
        return (fresh.detach(),)

    def _backward(self) -> Tensors:
        fresh, self._fresh = self._fresh, None
        if fresh is None:
            raise RuntimeError("the backward pass is recorded after the forward pass")
        gradients = torch.autograd.grad(
            fresh, self._parameters, self._upstream.to(fresh.dtype), allow_unused=True
        )
        # Gradients get the memory layout of their parameters, as when autograd stores them itself;
        # optimisers rely on this.
        return [
            g if g is None or g.stride() == p.stride() else torch.empty_like(p).copy_(g)
            for g, p in zip(gradients, self._parameters, strict=True)
        ]

    def replay(self, batch: Batch) -> torch.Tensor:
        """Return the loss of ``batch``, differentiable once."""
        self._keep_gradients()
        for name, values in batch.items():
            self._batch[name].copy_(values, non_blocking=True)
        return _Replay.apply(self._anchor, self)

    def _keep_gradients(self) -> None:
        """Copy accumulated gradients out of the memory that the next replay overwrites.

        Already the forward pass overwrites them: the backward pass was recorded later, and its
        gradients reuse the memory of activations that it no longer needed.
        """
        held = [(p, p.grad) for p in self._parameters if p.grad is not None]
        # With one micro-batch per step there are no gradients yet, and nothing to look up.
        lent = self._lent() if held else set()
        for parameter, gradient in held:
            if gradient.data_ptr() in lent:
                parameter.grad = gradient.clone()

    def loss(self) -> torch.Tensor:
        """Replay the forward pass."""
        self._run_forward()
        # A copy, since the next replay overwrites the original.
        return self._loss.clone()

    def accumulate(self, upstream: torch.Tensor) -> None:
        """Replay the backward pass and add its gradients to ``.grad``."""
        self._upstream.copy_(upstream)
        self._run_backward()
        for parameter, gradient in zip(self._parameters, self.gradients, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad.add_(gradient)


class _Replay(torch.autograd.Function):
    """Makes ``backward()`` of a replayed loss replay the recorded backward pass."""

    @staticmethod
    def forward(context: Any, anchor: torch.Tensor, recording: Recording) -> torch.Tensor:
        context.recording = recording
        return recording.loss()

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple:
        context.recording.accumulate(upstream[0])
        return None, None


class CudaGraphs:
    """Records functions as CUDA graphs that share one memory pool."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, function: Callable[[], None]) -> None:
        """Run a function a few times on a side stream, without changing the random state."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.random.fork_rng([torch.cuda.current_device()]), torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()

    def __call__(self, function: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], None]]:
        """Record ``function``; see `Capture`."""
        graph = torch.cuda.CUDAGraph()
        try:
            # With several processes, a thread of NCCL may query the device during the capture; the
            # mode "global" would forbid that.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                results = function()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise UserError(
                "training.fast.cuda_graphs: this step cannot be recorded "
                f"({str(error).splitlines()[0]}); set it to false"
            ) from error
        return results, graph.replay

    def hidden_bytes(self) -> int:
        """Return the bytes of the pool that only the graphs use."""
        return sum(
            segment["total_size"] - segment["allocated_size"]
            for segment in torch.cuda.memory_snapshot()
            if tuple(segment["segment_pool_id"]) == tuple(self._pool)
        )


class _no_cached_casts:
    """Switches off autocast's cache of cast weights: a cached cast would not be recorded."""

    def __enter__(self) -> None:
        self._before = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)

    def __exit__(self, *unused: object) -> None:
        torch.set_autocast_cache_enabled(self._before)
