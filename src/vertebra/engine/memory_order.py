"""Weights as they lie in memory, for the time of an update.

Torch's fused optimizers copy a weight on a CPU whose channels lie beside each other (torch 2.15):
for a ResNet-18 that takes twice as long as the update. What is updated number by number may as well
be seen in the order of its memory, where nothing has to be copied.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vertebra.layers.layout import LAYOUTS

_LARGE = 2**16
"""Numbers of a weight from which the copy takes longer than to turn it."""


@contextmanager
def in_memory_order(optimizer: torch.optim.Optimizer) -> Generator[None]:
    """Within it, large weights of convolutions that lie by pixel, [K, C, h, w], appear as
    [K, h, w, C], and so do their gradients and what the optimizer keeps of them."""
    turned = [each for each in _updated(optimizer) if _lies_by_pixel(optimizer, each)]
    for parameter in turned:
        _turn(optimizer, parameter, [0, *range(2, parameter.ndim), 1])
    try:
        yield
    finally:
        for parameter in turned:
            _turn(optimizer, parameter, [0, parameter.ndim - 1, *range(1, parameter.ndim - 1)])


def _updated(optimizer: torch.optim.Optimizer) -> Iterator[nn.Parameter]:
    for group in optimizer.param_groups:
        yield from (each for each in group["params"] if each.grad is not None)


def _lies_by_pixel(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    is_plain = parameter.is_contiguous() or parameter.ndim not in LAYOUTS
    if is_plain or parameter.numel() < _LARGE or parameter.device.type != "cpu":
        return False
    alike = [parameter.grad, *_kept(optimizer, parameter).values()]
    return parameter.is_contiguous(memory_format=LAYOUTS[parameter.ndim]) and all(
        each is not None and each.stride() == parameter.stride() for each in alike
    )


def _kept(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """Returns what the optimizer keeps for each number of a weight."""
    state = optimizer.state.get(parameter, {})
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and value.shape == parameter.shape
    }


def _turn(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, order: Sequence[int]) -> None:
    kept, gradient = _kept(optimizer, parameter), parameter.grad
    parameter.data = parameter.data.permute(*order)
    parameter.grad = None if gradient is None else gradient.permute(*order)
    for name, value in kept.items():
        optimizer.state[parameter][name] = value.permute(*order)
