"""Forward and backward of a micro-batch, recorded once as CUDA graphs and then replayed.

A small model's step is thousands of short kernels, and a GPU waits for each to be launched; a
recorded graph is launched as one. The recording reads its batch from the same memory every time and
leaves the gradients in the same memory every time.
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
# Runs a function, keeps where its results lie, and returns them with what fills them anew.
Capture = Callable[[Callable[[], Tensors]], tuple[Tensors, Callable[[], None]]]

# Batches of another shape are recorded too, up to this many; further shapes are computed as always.
SHAPES = 4
# Libraries choose their algorithms and allocate their workspaces in the first runs.
WARM_UP = 3

_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


# The peak before the newest recording; the allocator counts a recording while it is made only.
_earlier_peak = 0


def reset_peak() -> None:
    """Let `peak_bytes` count from now on."""
    global _earlier_peak
    torch.cuda.reset_peak_memory_stats()
    _earlier_peak = 0


def peak_bytes() -> int:
    """Return the peak of the GPU's memory in use, that of replayed recordings included."""
    hidden = sum(recorder.hidden_bytes for recorder in _recorders)
    return max(_earlier_peak, torch.cuda.max_memory_allocated() + hidden)


def _end_of_recording() -> None:
    """Keep the peak so far, in which the memory of a recording was counted as it was made."""
    global _earlier_peak
    _earlier_peak = max(_earlier_peak, torch.cuda.max_memory_allocated())
    torch.cuda.reset_peak_memory_stats()


class Recorder:
    """Replays ``compute`` and its gradients for batches of shapes that it knows.

    Args:
        compute: the loss of a batch, a scalar; may depend on nothing else that changes but on
            keyword arguments that tell kinds of batches apart, and may not wait for the device.
        parameters: those that train; their storage must stay where it is.
        capture: how a function is recorded; CUDA graphs unless told otherwise.
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
        self._capture = capture or self._graphs
        self.hidden_bytes = 0
        _recorders.add(self)

    def __call__(self, batch: Batch, **kind: Hashable) -> torch.Tensor:
        """Return the loss of a micro-batch; its ``backward()`` leaves gradients in ``.grad``.

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
        """Give the memory of all recordings back now; they and this refer to each other."""
        self._recordings.clear()
        self.hidden_bytes = 0

    def _record(self, batch: Batch, kind: dict[str, Hashable]) -> Recording:
        compute = partial(self._compute, **kind)
        recording = Recording(compute, self._parameters, batch, self._lent)
        if self._graphs:
            self._graphs.warm_up(recording.try_once)
        recording.record(self._capture)
        if self._graphs:
            _end_of_recording()
            self.hidden_bytes = self._graphs.hidden_bytes()
        return recording

    def _lent(self) -> set[int]:
        """Return the addresses of all gradients that a replay of any shape may overwrite."""
        return {
            gradient.data_ptr()
            for recording in self._recordings.values()
            for gradient in recording.gradients
            if gradient is not None
        }


class Recording:
    """The recorded step of one shape of batches."""

    def __init__(
        self,
        compute: Callable[[Batch], torch.Tensor],
        parameters: list[torch.nn.Parameter],
        batch: Batch,
        lent: Callable[[], set[int]],
    ):
        self._compute, self._parameters, self._lent = compute, parameters, lent
        self._batch = {name: value.clone() for name, value in batch.items()}
        # What makes autograd ask for the gradient of a loss that it has not computed.
        self._anchor = torch.zeros((), device=parameters[0].device, requires_grad=True)
        self._upstream = torch.ones((), device=parameters[0].device, dtype=torch.float32)
        self._fresh: torch.Tensor | None = None
        self.gradients: Tensors = ()

    def try_once(self) -> None:
        """Compute loss and gradients as always, and drop them."""
        self._forward()
        self._backward()

    def record(self, capture: Capture) -> None:
        """Record both; from then on `replay` runs them."""
        (self._loss,), self._run_forward = capture(self._forward)
        self.gradients, self._run_backward = capture(self._backward)

    def _forward(self) -> Tensors:
        with _no_cached_casts():
            self._fresh = self._compute(self._batch)
        return (self._fresh.detach(),)

    def _backward(self) -> Tensors:
        fresh, self._fresh = self._fresh, None
        gradients = torch.autograd.grad(
            fresh, self._parameters, self._upstream.to(fresh.dtype), allow_unused=True
        )
        # As autograd does where it stores them itself: optimisers count on it.
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
        """Copy the gradients of the micro-batch before, which lie where a replay will write.

        Already its forward half does: the backward half was recorded later, and has its gradients
        where the activations were that it needed no more.
        """
        held = [parameter for parameter in self._parameters if parameter.grad is not None]
        # None with one micro-batch a step: then there is nothing to look up.
        lent = self._lent() if held else set()
        for parameter in held:
            if parameter.grad.data_ptr() in lent:
                parameter.grad = parameter.grad.clone()

    def loss(self) -> torch.Tensor:
        """Run the forward half."""
        self._run_forward()
        # The next replay overwrites the original.
        return self._loss.clone()

    def accumulate(self, upstream: torch.Tensor) -> None:
        """Run the backward half and add its gradients to ``.grad``."""
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
    """Lets ``backward()`` of a replayed loss run the recorded backward half."""

    @staticmethod
    def forward(context: Any, anchor: torch.Tensor, recording: Recording) -> torch.Tensor:
        context.recording = recording
        return recording.loss()

    @staticmethod
    def backward(context: Any, *upstream: torch.Tensor) -> tuple:
        context.recording.accumulate(upstream[0])
        return None, None


class CudaGraphs:
    """Records functions as CUDA graphs that share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, function: Callable[[], None]) -> None:
        """Run a function a few times beside the main stream; random numbers stay as they were."""
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
            # With several processes a thread of NCCL's looks at the device at any time.
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
        """Return the bytes of the pool that nothing outside of the graphs holds."""
        return sum(
            segment["total_size"] - segment["allocated_size"]
            for segment in torch.cuda.memory_snapshot()
            if tuple(segment["segment_pool_id"]) == tuple(self._pool)
        )


class _no_cached_casts:
    """Within, autocast casts weights anew: a cached cast would not be part of the recording."""

    def __enter__(self) -> None:
        self._before = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)

    def __exit__(self, *unused: object) -> None:
        torch.set_autocast_cache_enabled(self._before)
