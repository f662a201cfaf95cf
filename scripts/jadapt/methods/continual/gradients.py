"""What the strategies that look at gradients share: modes, seeds, flat vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

IGNORED = -100


def generator(device: torch.device | str, *key: object) -> torch.Generator:
    """Return a random generator of its own, seeded by ``key`` alone."""
    # Python's own hash differs from process to process.
    digest = hashlib.sha256("\n".join(map(str, key)).encode()).digest()
    # 63 bits: a generator's seed is a signed integer.
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, so that no random number is drawn; restore the mode of each module."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def differentiable(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Make frozen parameters differentiable; restore their flags."""
    flags = [(parameter, parameter.requires_grad) for parameter in parameters]
    for parameter, _ in flags:
        parameter.requires_grad_(True)
    try:
        # The caller may be a hook of the trainer or of the optimiser, where gradients are off.
        with torch.enable_grad():
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def scored(labels: torch.Tensor) -> int:
    """Return the number of tokens that count in the loss."""
    return int((labels != IGNORED).sum())


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that train, tied ones once, in the order of the model."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def read_gradient(parameters: Sequence[nn.Parameter], out: torch.Tensor) -> None:
    """Copy ``.grad`` into the flat vector ``out``; a missing gradient is zero."""
    for parameter, part in zip(parameters, _parts(parameters, out), strict=True):
        if parameter.grad is None:
            part.zero_()
        else:
            part.copy_(parameter.grad)


def write_gradient(parameters: Sequence[nn.Parameter], flat: torch.Tensor) -> None:
    """Copy the flat vector ``flat`` into ``.grad``, in place."""
    for parameter, part in zip(parameters, _parts(parameters, flat), strict=True):
        if parameter.grad is None:
            parameter.grad = part.to(parameter.dtype, copy=True)
        else:
            parameter.grad.copy_(part)


def add_gradient(loss: torch.Tensor, parameters: Sequence[nn.Parameter], out: torch.Tensor) -> None:
    """Add the gradient of ``loss`` to the flat vector ``out``; ``.grad`` is left alone."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    for gradient, part in zip(found, _parts(parameters, out), strict=True):
        if gradient is not None:
            part.add_(gradient)


def _parts(parameters: Sequence[nn.Parameter], flat: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the views of a flat vector that belong to each parameter."""
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, part in zip(parameters, flat.split(sizes), strict=True):
        yield part.view(parameter.shape)
