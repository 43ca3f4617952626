"""Folds the batch norms of a network into its convolutions, wherever that is seen to be exact.

A network of another library does not say which norm follows which convolution, and the order of its
parts is no proof. So it is watched while it runs: a norm folds if it runs once, on the very tensor
that a convolution gave which runs once, and nothing else reads that tensor.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_leaves

from vertebra.layers.same_conv import SameConv2d
from vertebra.models.timm_library import library
from vertebra.uncompiled import Mode


def fold_norms(net: nn.Module, images: Tensor) -> None:
    """Changes `net`, which is in evaluation.

    images: any that it takes, on its device; all others go the same way through it.
    """
    for norm, conv in _pairs(net, images).items():
        if norm.running_mean is None or norm.running_var is None:
            continue  # it has no statistics of its own
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        rest = getattr(norm, "act", nn.Identity())  # timm's norms bring an activation
        places = [name for name, each in net.named_modules(remove_duplicate=False) if each is norm]
        for name in places:
            net.set_submodule(name, rest)


def _pairs(net: nn.Module, images: Tensor) -> dict[nn.BatchNorm2d, nn.Conv2d]:
    _, norms = _kinds()
    if not any(type(each) in norms for each in net.modules()):
        return {}  # to watch it takes memory: all that convolutions give is kept
    watch = _Watch(net.modules())
    with torch.no_grad(), watch:
        net(images)
    watch.leave()
    return watch.pairs()


def _kinds() -> tuple[tuple[type[nn.Module], ...], tuple[type[nn.Module], ...]]:
    """Returns the classes of convolutions and of norms that fold; a subclass may do more."""
    if "timm" not in sys.modules:  # then no module can be one of its classes
        return (nn.Conv2d,), (nn.BatchNorm2d,)
    layers = library().layers
    return (nn.Conv2d, SameConv2d, layers.Conv2dSame), (nn.BatchNorm2d, layers.BatchNormAct2d)


class _Watch(Mode):
    """Counts how often a convolution or a norm runs, and who reads what a convolution gives."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        convs, norms = _kinds()
        self._runs: Counter[nn.Module] = Counter()
        self._readers: Counter[int] = Counter()
        self._given: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensor is kept, so is its id
        self._read: dict[nn.BatchNorm2d, int] = {}
        self._hooks: list[Any] = []
        for module in modules:
            if type(module) in convs:
                self._hooks.append(module.register_forward_hook(self._after_conv))
            elif type(module) in norms:
                self._hooks.append(module.register_forward_pre_hook(self._before_norm))

    def leave(self) -> None:
        """Takes the hooks off the modules again."""
        for hook in self._hooks:
            hook.remove()

    def pairs(self) -> dict[nn.BatchNorm2d, nn.Conv2d]:
        """Returns norm -> convolution for those that fold."""
        found: dict[nn.BatchNorm2d, nn.Conv2d] = {}
        for norm, tensor in self._read.items():
            conv, _ = self._given[tensor]
            if self._runs[norm] == self._runs[conv] == self._readers[tensor] == 1:
                found[norm] = conv
        return found

    def _after_conv(self, conv: nn.Conv2d, _: Any, output: Tensor) -> None:
        self._runs[conv] += 1
        self._given[id(output)] = conv, output

    def _before_norm(self, norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        self._runs[norm] += 1
        if id(inputs[0]) in self._given:
            self._read[norm] = id(inputs[0])

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for leaf in tree_leaves((args, kwargs)):
            if id(leaf) in self._given:
                self._readers[id(leaf)] += 1
        return func(*args, **(kwargs or {}))
