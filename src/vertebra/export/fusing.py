"""Rewrites a recorded network for a CPU: fewer walks through memory, up to rounding the same.

wide 3x3 convolution [+ shortcut] [+ ReLU]     -> one call, by fewer products (`layers.winograd`)
other convolution or linear map [+ activation] -> one call, with packed weights
convolution + shortcut [+ ReLU]                -> one call that adds to the shortcut
linear map [+ permutation, view] + shortcut    -> one call, in the map's own shape
mean over a map in bf16                        -> a pool, as torch's mean makes an fp32 copy first

oneDNN computes activations and sums with what is before them, while that is in the cache.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate

from vertebra.engine.heap import give_back
from vertebra.export.packed import pack_convolution, pack_linear
from vertebra.export.recorded import (
    alike,
    argument,
    call,
    constant,
    dtype_of,
    is_mean_over_sides,
    let_go,
    name_of,
    set_constant,
    shape_of,
    sizes_of,
    spec_of,
)
from vertebra.export.watching import PerImage
from vertebra.layers.sparse import is_fast
from vertebra.layers.tiling import Tiling
from vertebra.layers.winograd import convolve, transform

_ATEN, _MKLDNN = torch.ops.aten, torch.ops.mkldnn

_MANY_CHANNELS, _MANY_TILES, _FEW_PRODUCTS = 48, 16, 0.5

_CONVOLUTION = _MKLDNN._convolution_pointwise
_LINEAR = _MKLDNN._linear_pointwise

_ACTIVATIONS: Mapping[str, Callable[[fx.Node], tuple[str, list[float], str]]] = {
    "aten::relu": lambda _: ("relu", [], ""),
    "aten::hardtanh": lambda act: (
        "hardtanh",
        [float(argument(act, name)) for name in ("min_val", "max_val")],
        "",
    ),
    "aten::silu": lambda _: ("swish", [], ""),
    "aten::hardswish": lambda _: ("hardswish", [], ""),
    "aten::sigmoid": lambda _: ("sigmoid", [], ""),
    "aten::hardsigmoid": lambda _: ("hardsigmoid", [], ""),
    "aten::tanh": lambda _: ("tanh", [], ""),
    "aten::gelu": lambda act: ("gelu", [], argument(act, "approximate")),
    "aten::leaky_relu": lambda act: ("leaky_relu", [argument(act, "negative_slope")], ""),
}
"""Activations that oneDNN computes: their name there, numbers, and a formula."""


def fuse(module: fx.GraphModule, *, count: int) -> int:
    """Rewrites the network in place; returns how many convolutions and linear maps are packed.

    Weights that are packed give their memory back at once, also where the network that was recorded
    holds them.

    count: images in a call that are expected.
    """
    packed = 0
    for node in [*module.graph.nodes]:
        if node.target is _ATEN.add.Tensor:
            _add_before(node)
        elif is_mean_over_sides(node) and dtype_of(node) == torch.bfloat16:
            _pool(node)
    for node in [*module.graph.nodes]:
        weight = constant(module, node.args[1]) if len(node.args) > 1 else None
        if node.target is _ATEN.conv2d.default and weight is not None:
            _fuse_convolution(module, node, weight, count)
        elif node.target is _ATEN.linear.default and weight is not None:
            _fuse_linear(module, node, weight, count)
        else:
            continue
        packed += 1
        let_go(module, weight)
        give_back(weight.device)  # the hole that it leaves seldom fits the next that is packed
    return packed


def _fuse_convolution(module: fx.GraphModule, conv: fx.Node, weight: Tensor, count: int) -> None:
    images = conv.all_input_nodes[0]
    padding, stride, dilation = (
        [*argument(conv, name)] for name in ("padding", "stride", "dilation")
    )
    groups = argument(conv, "groups")
    tiling = _by_tiles(conv, weight, count)
    if tiling is not None:
        _fuse_by_tiles(module, conv, weight, tiling, count)
        return
    made = pack_convolution(
        weight,
        padding=padding,
        stride=stride,
        dilation=dilation,
        groups=groups,
        shape=sizes_of(images, count),
    )
    rest = (set_constant(module, made, conv), argument(conv, "bias"))
    rest = (*rest, padding, stride, dilation, groups)
    after = _follower(conv)
    if after is not None and name_of(after) in _ACTIVATIONS:
        name, numbers, formula = _ACTIVATIONS[name_of(after)](after)
        args = (images, *rest, name, numbers, formula or None)
        _replace(_CONVOLUTION.default, args, conv, after)
    elif (shortcut := _added(after, conv)) is not None:
        relu = _relu(after)
        args = (images, shortcut, *rest, "add", 1.0, "relu" if relu else None, [], None)
        _replace(_CONVOLUTION.binary, args, conv, after, relu)
    else:
        _replace(_CONVOLUTION.default, (images, *rest, "none", [], None), conv)


def _by_tiles(conv: fx.Node, weight: Tensor, count: int) -> Tiling | None:
    """Returns the tiles of a convolution that takes less time by fewer products.

    On two cores such take 0.45 to 0.9 times as long; with 32 channels, or one image, it is up to
    1.3 and 1.6 times.
    """
    window = (weight.shape[2:], argument(conv, "stride"), argument(conv, "dilation"))
    is_window = [[*each] for each in window] == [[3, 3], [1, 1], [1, 1]]
    given, channels = len(weight) // argument(conv, "groups"), weight.shape[1]
    is_wide = min(given, channels) >= _MANY_CHANNELS
    if not is_window or not is_wide or dtype_of(conv) != torch.float32 or not is_fast():
        return None
    _, _, height, width = sizes_of(conv.all_input_nodes[0], count)
    top, left = argument(conv, "padding")
    tiling = Tiling.of((height, width), (top, left))
    is_many = count > 1 and count * tiling.in_all >= _MANY_TILES
    return tiling if is_many and tiling.share <= _FEW_PRODUCTS else None


def _fuse_by_tiles(
    module: fx.GraphModule, conv: fx.Node, weight: Tensor, tiling: Tiling, count: int
) -> None:
    made = transform(weight.detach(), tiling, images=count, groups=argument(conv, "groups"))
    weights = map_aggregate(
        made, lambda each: set_constant(module, each, conv) if isinstance(each, Tensor) else each
    )
    add = _follower(conv)
    shortcut = _added(add, conv)
    add = add if shortcut is not None else None
    relu = _relu(add or conv)
    bias = argument(conv, "bias")
    args = (conv.all_input_nodes[0], weights, bias, shortcut, relu is not None)
    _replace(convolve, args, conv, add, relu)


def _fuse_linear(module: fx.GraphModule, linear: fx.Node, weight: Tensor, count: int) -> None:
    rows = linear.all_input_nodes[0]
    made = pack_linear(weight, shape=sizes_of(rows, count))
    rest = (set_constant(module, made, linear), argument(linear, "bias"))
    after = _follower(linear)
    if after is not None and name_of(after) in _ACTIVATIONS:
        _replace(
            _LINEAR.default, (rows, *rest, *_ACTIVATIONS[name_of(after)](after)), linear, after
        )
    elif (shortcut := _added(after, linear)) is not None:
        _replace(_LINEAR.binary, (rows, shortcut, *rest, "add"), linear, after)
    else:
        _replace(_LINEAR.default, (rows, *rest, "none", [], ""), linear)


def _add_before(add: fx.Node) -> None:
    """Rewrites permute(x) + shortcut as permute(x + shortcut in the shape of x), and so for a view.

    So a linear map, whose answer is turned or viewed before the sum, can add to the shortcut.
    """
    for turned in add.all_input_nodes:
        shortcut = _added(add, turned)
        way_back = _WAYS_BACK.get(turned.target)
        if way_back and shortcut and _follower(turned) is add:
            x = turned.all_input_nodes[0]
            with add.graph.inserting_before(add):
                there = add.graph.call_function(*way_back(turned, shortcut))
                there.meta["spec"] = spec_of(x)
                summed = add.graph.call_function(_ATEN.add.Tensor, (x, there))
                summed.meta["spec"] = spec_of(x)
            _replace(turned.target, (summed, *turned.args[1:]), turned, add)
            return


def _permuted_back(permuted: fx.Node, shortcut: fx.Node) -> tuple[Any, tuple[Any, ...]]:
    order = cast(Sequence[int], permuted.args[1])
    back = [order.index(axis) for axis in range(len(order))]
    return _ATEN.permute.default, (shortcut, back)


def _viewed_back(view: fx.Node, shortcut: fx.Node) -> tuple[Any, tuple[Any, ...]]:
    shape = shape_of(view.all_input_nodes[0])
    shape = [-1 if isinstance(each, PerImage) else each for each in shape]
    return _ATEN.reshape.default, (shortcut, shape)


_WAYS_BACK: Mapping[Any, Callable[[fx.Node, fx.Node], tuple[Any, tuple[Any, ...]]]] = {
    _ATEN.permute.default: _permuted_back,
    _ATEN.view.default: _viewed_back,
}
"""What undoes an operator that only lays a tensor out anew: what to call, and with what."""


def _replace(target: Any, args: tuple[Any, ...], *nodes: fx.Node | None) -> None:
    """Puts one call in the place of the last of these nodes, each of which reads the one before."""
    *before, last = [node for node in nodes if node is not None]
    call(target, last, args)
    for node in reversed(before):
        node.graph.erase_node(node)


def _follower(node: fx.Node | None) -> fx.Node | None:
    """Returns the one node that reads what this one gives; None where several do."""
    users = [*node.users] if node is not None else []
    return users[0] if len(users) == 1 and users[0].op == "call_function" else None


def _relu(node: fx.Node | None) -> fx.Node | None:
    """Returns the ReLU that alone reads what this one gives."""
    after = _follower(node)
    return after if name_of(after) == "aten::relu" else None


def _added(add: fx.Node | None, node: fx.Node) -> fx.Node | None:
    """Returns what `add` adds to a node, a tensor of the same shape and type; None where it does
    otherwise."""
    if add is None or add.target is not _ATEN.add.Tensor or argument(add, "alpha") != 1:
        return None
    others = [each for each in add.args[:2] if each is not node]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    is_alike = alike(others[0], node) and alike(node, add)
    return others[0] if is_alike else None


def _pool(mean: fx.Node) -> None:
    images = mean.all_input_nodes[0]
    pooled = (images, cast(list[int], [*shape_of(images)[2:]]))
    if argument(mean, "keepdim"):
        call(_ATEN.avg_pool2d.default, mean, pooled)
        return
    with mean.graph.inserting_before(mean):
        column = mean.graph.call_function(_ATEN.avg_pool2d.default, pooled)  # [N, C, 1, 1]
    call(_ATEN.flatten.using_ints, mean, (column, 1))
