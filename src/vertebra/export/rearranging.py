"""Rewrites a recorded network so that there is less to move, up to rounding the same.

convolution of a + b laid side by side     -> the sum of two, each with its share of the weights
depthwise, activation, mean, gate of such  -> the same of each, laid side by side after it
mean of a 1x1 convolution                  -> the 1x1 convolution of the mean
1x1 convolution of a 1x1 convolution       -> one, where it has fewer weights than the two
product + shortcut                         -> one operator, in one walk

Maps that are joined along their channels (GhostNet) so need not be laid together before a
convolution reads them, and squeeze-and-excitation need not read the wide map that it weighs.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx

from vertebra.export.recorded import (
    alike,
    argument,
    call,
    constant,
    is_mean_over_sides,
    overwrites,
    put,
    set_constant,
    shape_of,
    sizes_of,
    spec_of,
)
from vertebra.export.watching import TensorSpec

_ATEN = torch.ops.aten

_ELEMENTWISE = {
    _ATEN.relu.default,
    _ATEN.hardtanh.default,
    _ATEN.silu.default,
    _ATEN.hardswish.default,
    _ATEN.sigmoid.default,
    _ATEN.hardsigmoid.default,
    _ATEN.leaky_relu.default,
}
"""What is done to each number by itself, and has its one tensor first."""


_WORTH_PARTING = 2**18
"""Numbers in joined maps from which it takes longer to lay them together than to call an operator
more: of a GhostNet with one image, on two cores, those at 56 px and above."""


class _Weights(NamedTuple):
    """weight: [C, in_channels / groups, height, width]; bias: [C]."""

    weight: Tensor
    bias: Tensor | None


def rearrange(module: fx.GraphModule, *, count: int) -> None:
    """Rewrites the network in place; `count` is of the images in a call that are expected."""
    for node in [*module.graph.nodes]:
        if is_mean_over_sides(node):
            _take_mean_first(module, node)
    for node in [*module.graph.nodes]:
        _merge(module, node)
    module.graph.eliminate_dead_code()
    joined = [node for node in module.graph.nodes if _is_pair(node)]
    while joined:
        node = joined.pop()
        if prod(sizes_of(node, count)) >= _WORTH_PARTING:
            joined += _part(module, node)
    if not any(map(overwrites, module.graph.nodes)):  # else factors may be others by then
        for node in [*module.graph.nodes]:
            _add_product(node)


def _take_mean_first(module: fx.GraphModule, mean: fx.Node) -> None:
    """Rewrites mean(conv(x)) as conv(mean(x)), where x has fewer channels."""
    conv = mean.all_input_nodes[0]
    found = _pointwise(module, conv)
    if found is None or len(found.weight) <= found.weight.shape[1]:
        return
    graph, images = mean.graph, conv.all_input_nodes[0]
    with graph.inserting_before(mean):
        first = graph.call_function(_ATEN.mean.dim, (images, [2, 3], True))
        first.meta["spec"] = _like(images, sides=(1, 1))
        last = graph.call_function(_ATEN.conv2d.default, (first, *conv.args[1:]), conv.kwargs)
        last.meta["spec"] = _like(conv, sides=(1, 1))
        if not argument(mean, "keepdim"):
            last = graph.call_function(_ATEN.flatten.using_ints, (last, 1))
    put(last, mean)


def _merge(module: fx.GraphModule, after: fx.Node) -> None:
    """Rewrites conv(conv(x)), both of single pixels, as one where that has fewer weights."""
    outer = _pointwise(module, after)
    inner = _pointwise(module, after.all_input_nodes[0]) if outer else None
    if outer is None or inner is None:
        return
    before = after.all_input_nodes[0]
    least = inner.weight.numel() + outer.weight.numel()
    if len(before.users) > 1 or len(outer.weight) * inner.weight.shape[1] > least:
        return
    matrix = outer.weight.flatten(1)
    biases = [outer.bias, None if inner.bias is None else matrix @ inner.bias]
    given = [bias for bias in biases if bias is not None]
    product = (matrix @ inner.weight.flatten(1))[:, :, None, None]
    args = (
        before.all_input_nodes[0],
        set_constant(module, product, after),
        set_constant(module, sum(given[1:], given[0]), after) if given else None,
    )
    call(after.target, after, args)


def _part(module: fx.GraphModule, joined: fx.Node) -> list[fx.Node]:
    """Lets all that read two joined maps read each by itself, if all can; returns what is joined
    in their place."""
    users = [*joined.users]
    if not all(_can_part(module, user, joined) for user in users):
        return []
    made: list[fx.Node] = []
    for user in users:
        found = _weights(module, user)
        if found is None:
            made.append(call(_ATEN.cat.default, user, (_each(user, joined), 1)))
        elif argument(user, "groups") == 1:
            shares = _shares(module, user, joined, found, axis=1)
            call(_ATEN.add.Tensor, user, shares)
        else:
            shares = _shares(module, user, joined, found, axis=0)
            made.append(call(_ATEN.cat.default, user, (shares, 1)))
    joined.graph.erase_node(joined)
    return made


def _can_part(module: fx.GraphModule, user: fx.Node, joined: fx.Node) -> bool:
    found = _weights(module, user)
    if found is not None:
        channels, groups = _channels(joined), argument(user, "groups")
        is_depthwise = groups == len(found.weight) == channels
        return is_depthwise or (groups == 1 and len(found.weight) <= channels)  # else it moves more
    if user.target is _ATEN.mul.Tensor:
        return _gate(user, joined) is not None
    return user.target in _ELEMENTWISE or is_mean_over_sides(user)


def _each(user: fx.Node, joined: fx.Node) -> list[fx.Node]:
    """Returns what `user`, no convolution, does to the joined maps, done to each."""
    graph, made = user.graph, list[fx.Node]()
    gate = _gate(user, joined) if user.target is _ATEN.mul.Tensor else None
    for part, start, end in _parts(joined):
        rest: Sequence[Any] = user.args[1:]
        with graph.inserting_before(user):
            if gate is not None:
                share = graph.call_function(_ATEN.slice.Tensor, (gate, 1, start, end))
                share.meta["spec"] = _like(gate, channels=end - start)
                rest = (share,)
            new = graph.call_function(cast(Any, user.target), (part, *rest), user.kwargs)
        new.meta["spec"] = _like(user, channels=end - start)
        made.append(new)
    return made


def _shares(
    module: fx.GraphModule, conv: fx.Node, joined: fx.Node, found: _Weights, *, axis: int
) -> list[fx.Node]:
    """Returns a convolution of each of the joined maps: the weights shared out by what they read
    (axis 1), with the bias in the first; or by what they give (axis 0), and so the biases."""
    made: list[fx.Node] = []
    for part, start, end in _parts(joined):
        weight = found.weight.narrow(axis, start, end - start).clone()
        bias = found.bias if start == 0 or axis == 0 else None
        if bias is not None and axis == 0:
            bias = bias[start:end].clone()
        args = (
            part,
            set_constant(module, weight, conv),
            None if bias is None else set_constant(module, bias, conv),
            *(argument(conv, name) for name in ("stride", "padding", "dilation")),
            1 if axis == 1 else end - start,
        )
        with conv.graph.inserting_before(conv):
            new = conv.graph.call_function(_ATEN.conv2d.default, args)
        new.meta["spec"] = _like(conv, channels=None if axis == 1 else end - start)
        made.append(new)
    return made


def _add_product(add: fx.Node) -> None:
    """Rewrites x * y + shortcut as one operator, where the sum has the product's shape."""
    if add.target is not _ATEN.add.Tensor or argument(add, "alpha") != 1:
        return
    one, other = add.args[:2]
    for product, shortcut in ((one, other), (other, one)):
        if not isinstance(product, fx.Node) or not isinstance(shortcut, fx.Node):
            return
        is_product = product.target is _ATEN.mul.Tensor and len(product.all_input_nodes) == 2
        is_same = product is not shortcut and alike(product, add) and alike(shortcut, add)
        if is_product and is_same and len(product.users) == 1:
            call(_ATEN.addcmul.default, add, (shortcut, *product.args))
            product.graph.erase_node(product)
            return


def _parts(joined: fx.Node) -> list[tuple[fx.Node, int, int]]:
    """Returns the maps that are joined, each with the channels, from and to, that are its own."""
    one, other = cast(list[fx.Node], joined.args[0])
    between, end = _channels(one), _channels(joined)
    return [(one, 0, between), (other, between, end)]


def _channels(node: fx.Node) -> int:
    """Returns the channels of maps [N, C, H, W]."""
    return cast(int, shape_of(node)[1])


def _like(
    node: fx.Node, *, channels: int | None = None, sides: tuple[int, int] | None = None
) -> TensorSpec:
    """Returns the spec of maps like those of a node, but for their channels or sides."""
    (count, before, *around), dtype = node.meta["spec"]
    shape = (count, before if channels is None else channels, *(around if sides is None else sides))
    return TensorSpec(shape, dtype)


def _gate(product: fx.Node, joined: fx.Node) -> fx.Node | None:
    """Returns what gives joined maps a factor [N, C, 1, 1] for each channel, if something does."""
    for each in product.args:
        if each is not joined and isinstance(each, fx.Node) and _is_single_pixel(each):
            return each if _channels(each) == _channels(joined) else None
    return None


def _is_pair(node: fx.Node) -> bool:
    """Says whether a node lays two different maps [N, C, H, W] side by side along C."""
    if node.target is not _ATEN.cat.default or len(shape_of(node)) != 4:
        return False
    maps = cast(list[Any], node.args[0])
    return len({*maps}) == len(maps) == 2 and argument(node, "dim") in (1, -3)


def _is_single_pixel(node: fx.Node) -> bool:
    """Says whether a node gives maps [N, C, 1, 1]."""
    return spec_of(node) is not None and shape_of(node)[2:] == (1, 1)


def _weights(module: fx.GraphModule, node: fx.Node) -> _Weights | None:
    """Returns the weights of a convolution, if they are always the same."""
    if node.target is not _ATEN.conv2d.default:
        return None
    weight, shift = constant(module, node.args[1]), argument(node, "bias")
    bias = constant(module, shift)
    return (
        None if weight is None or (bias is None and shift is not None) else _Weights(weight, bias)
    )


def _pointwise(module: fx.GraphModule, node: fx.Node) -> _Weights | None:
    """Returns the weights of a convolution that reads single pixels and all channels, else None."""
    found = _weights(module, node)
    if found is None or argument(node, "groups") != 1 or found.weight.shape[2:] != (1, 1):
        return None
    is_plain = {*argument(node, "stride")} == {1} and {*argument(node, "padding")} == {0}
    return found if is_plain else None
