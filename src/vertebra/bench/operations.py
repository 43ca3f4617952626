"""The operators of a network that multiply and add, found by a pass in which they are not computed.

Of them a pass needs the shape of what they give, which says as well how much they compute. All else
is computed, of weights that are 0: that is quick, and torch knows its shapes best.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from vertebra.bench.shadow import shadow, shadow_image, zeros_like
from vertebra.uncompiled import Mode

_MANY = 2**18
"""Numbers from which it takes longer to compute what weights become, as where they are
standardised, than to have torch say what shape that has."""

KINDS = ("convolution", "depthwise", "linear", "matmul")


class Operation(NamedTuple):
    """A call of an operator that multiplies and adds.

    kind:    "convolution" (grouped ones too), "depthwise" (a channel a group), "linear" (features
             times weights) or "matmul" (features times features, as in attention).
    macs:    multiply-adds.
    numbers: how many it gives.
    parts:   qualified names of the submodules within which it was called, the outermost first.
    """

    kind: str
    macs: int
    numbers: int
    parts: tuple[str, ...]


class Operations(NamedTuple):
    """What came up in the pass of one image.

    shapes: of the tensor that a submodule gave last, without the image, by its qualified name.
    """

    all: Sequence[Operation]
    shapes: Mapping[str, tuple[int, ...]]


def operations(
    model: nn.Module, *, image_size: int | tuple[int, int], in_channels: int = 3
) -> Operations:
    """Returns the operations of `model` in evaluation for one image; it stays as it is.

    A part that is called twice counts twice.

    model:      may be on the meta device.
    image_size: side, or height and width, in pixels.
    """
    net = shadow(model)
    image = shadow_image(net, image_size=image_size, in_channels=in_channels)
    watch = _Watch()
    for name, module in net.named_modules():
        if name:
            module.register_forward_pre_hook(watch.entering(name))
            module.register_forward_hook(watch.leaving)
    with torch.no_grad(), _in_parts(), watch:
        net(image)
    return Operations(watch.found, watch.shapes)


@contextmanager
def _in_parts() -> Generator[None]:
    """Keeps torch from computing attention by one operator, of which no part is seen, and from
    waiting for a second thread in every operator: there is too little to compute."""
    is_enabled, threads = torch.backends.mha.get_fastpath_enabled(), torch.get_num_threads()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_enabled)
        torch.set_num_threads(threads)


class _Watch(Mode):
    """Notes each operator that multiplies and adds, and answers in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._within: list[str] = []

    def entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, _: self._within.append(name)

    def leaving(self, _: nn.Module, __: Any, output: Any) -> None:
        name = self._within.pop()
        if isinstance(output, Tensor):
            self.shapes[name] = tuple(output.shape[1:])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        read = _READERS.get(func.overloadpacket)
        found = read(*args) if read else None
        if found is None or min(found[-1]) < 1:  # torch says what is wrong
            return _run(func, args, kwargs or {})
        kind, macs, shape = found
        parts = tuple(dict.fromkeys(self._within))
        self.found.append(Operation(kind, macs, prod(shape), parts))
        made = args[0].new_zeros(shape)
        return (made, made) if read is _attention else made


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Runs an operator; on shapes alone if it takes many weights and nothing else."""
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    if sum(map(Tensor.numel, tensors)) < _MANY or any(any(each.stride()) for each in tensors):
        return func(*args, **kwargs)
    args, kwargs = tree_map(_on_meta, (tuple(args), kwargs))
    return tree_map(zeros_like, func(*args, **kwargs))


def _on_meta(leaf: Any) -> Any:
    return leaf.to("meta") if isinstance(leaf, Tensor) else leaf


_Read = tuple[str, int, Sequence[int]] | None
"""Kind, multiply-adds, and the shape of what comes out; None where the shapes do not fit."""


def _convolution(
    x: Tensor,
    weight: Tensor,
    _: Any,
    strides: Sequence[int],
    paddings: Sequence[int],
    dilations: Sequence[int],
    is_transposed: bool,
    rests: Sequence[int],
    groups: int,
) -> _Read:
    if x.shape[1] != (weight.shape[0] if is_transposed else weight.shape[1] * groups):
        return None
    sides = [
        (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + rest
        if is_transposed
        else (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, padding, dilation, rest in zip(
            x.shape[2:], weight.shape[2:], strides, paddings, dilations, rests, strict=True
        )
    ]
    channels = weight.shape[1] * groups if is_transposed else weight.shape[0]
    shape = (len(x), channels, *sides)
    # each number that comes out met one filter; of a transposed one, each that went in
    macs = prod(x.shape if is_transposed else shape) * prod(weight.shape[1:])
    is_depthwise = groups == x.shape[1] and groups > 1
    return "depthwise" if is_depthwise else "convolution", macs, shape


def _product(kind: str, one: Tensor, other: Tensor) -> _Read:
    """one: [..., rows, terms], other: [..., terms, columns]."""
    if (*one.shape[:-2], one.shape[-1]) != other.shape[:-1]:
        return None
    shape = (*one.shape[:-1], other.shape[-1])
    return kind, prod(shape) * one.shape[-1], shape


def _sum(kind: str, _: Tensor, one: Tensor, other: Tensor) -> _Read:
    return _product(kind, one, other)


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> _Read:
    """query: [N, A, Q, D], key: [N, A, T, D], value: [N, A, T, V]; Q x T logits of D terms each."""
    shape = (*query.shape[:-1], value.shape[-1])
    return "matmul", (query.numel() + prod(shape)) * key.shape[-2], shape


_ATEN = torch.ops.aten
_READERS: Mapping[Any, Callable[..., _Read]] = {
    _ATEN.convolution: _convolution,
    _ATEN.mm: partial(_product, "linear"),
    _ATEN.addmm: partial(_sum, "linear"),
    _ATEN.bmm: partial(_product, "matmul"),
    _ATEN.baddbmm: partial(_sum, "matmul"),
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,
}
"""Operator -> what reads its cost, and the shape it gives, from what it takes."""
