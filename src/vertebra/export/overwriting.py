"""Which tensors of a recorded network are written over: those that nobody reads any more.

A result that lies where its argument has lain needs no memory of its own, and memory is what most
operators wait for. First the network's own choices are taken back: then every operator gives a new
tensor, and what is rewritten need not heed who writes over what. At the end operators write over
whatever they can.
"""

from typing import Any

import torch
from torch import fx

from vertebra.export.recorded import alike, call, name_of
from vertebra.layers.winograd import convolve

_ATEN, _MKLDNN = torch.ops.aten, torch.ops.mkldnn

_OVER: dict[Any, Any] = {
    _ATEN.relu.default: _ATEN.relu_.default,
    _ATEN.silu.default: _ATEN.silu_.default,
    _ATEN.hardswish.default: _ATEN.hardswish_.default,
    _ATEN.hardtanh.default: _ATEN.hardtanh_.default,
    _ATEN.leaky_relu.default: _ATEN.leaky_relu_.default,
    _ATEN.sigmoid.default: _ATEN.sigmoid_.default,
    _ATEN.hardsigmoid.default: _ATEN.hardsigmoid_.default,
    _ATEN.add.Tensor: _ATEN.add_.Tensor,
    _ATEN.sub.Tensor: _ATEN.sub_.Tensor,
    _ATEN.mul.Tensor: _ATEN.mul_.Tensor,
    _ATEN.div.Tensor: _ATEN.div_.Tensor,
    _ATEN.addcmul.default: _ATEN.addcmul_.default,
    _MKLDNN._convolution_pointwise.binary: _MKLDNN._convolution_pointwise_.binary,
}
"""Operators, and the form of each that writes over its first argument."""

_OVER_SECOND: dict[Any, Any] = {
    _ATEN.add.Tensor: _ATEN.add.out,
    _ATEN.sub.Tensor: _ATEN.sub.out,
    _ATEN.mul.Tensor: _ATEN.mul.out,
    _ATEN.div.Tensor: _ATEN.div.out,
    _ATEN.addcmul.default: _ATEN.addcmul.out,
}
"""Operators, and the form of each that can write over its second argument as well."""

_NEW = {each.name().partition(".")[0] for each in _OVER} | {
    "aten::adaptive_avg_pool2d",
    "aten::addcmul",
    "aten::avg_pool2d",
    "aten::batch_norm",
    "aten::bmm",
    "aten::cat",
    "aten::conv2d",
    "aten::gelu",
    "aten::group_norm",
    "aten::layer_norm",
    "aten::lerp",
    "aten::linear",
    "aten::matmul",
    "aten::max_pool2d",
    "aten::mean",
    "aten::scaled_dot_product_attention",
    "aten::softmax",
    "aten::sum",
    "mkldnn::_linear_pointwise",
}
"""Operators known to give a new tensor. Any other may give a part of what it is given."""

_WHOLE = {"aten::flatten", "aten::permute", "aten::reshape", "aten::transpose", "aten::view"}
"""Operators that give the whole of what they are given, laid out anew, or a copy of it."""


def take_back(module: fx.GraphModule) -> None:
    """Gives results that lie where an argument has lain a place of their own, where it is seen that
    nobody looks there for them."""
    memory = _Memory(module.graph)
    apart = {over: given for given, over in _OVER.items()}
    for node in [*module.graph.nodes]:
        if node.target in apart and memory.is_free(node.args[0], node):
            memory.rename(node, _call(apart[node.target], node, node.args))


def overwrite(module: fx.GraphModule) -> None:
    """Lets operators write over an argument that nobody reads after them."""
    memory = _Memory(module.graph)
    for node in [*module.graph.nodes]:
        if node.target is _MKLDNN._convolution_pointwise.binary:
            images, shortcut, *rest = node.args
            if memory.is_free(shortcut, node):  # which comes first in the other form
                memory.rename(node, _call(_OVER[node.target], node, (shortcut, images, *rest)))
        elif node.target in _OVER and memory.is_free(node.args[0], node):
            memory.rename(node, _call(_OVER[node.target], node, node.args))
        elif node.target in _OVER_SECOND and memory.is_free(node.args[1], node):
            second = _call(_OVER_SECOND[node.target], node, node.args)
            second.kwargs = {**second.kwargs, "out": second.args[1]}
            memory.rename(node, second)


def _call(target: Any, node: fx.Node, args: Any) -> fx.Node:
    kwargs = dict(node.kwargs)
    new = call(target, node, args)
    new.kwargs = kwargs
    return new


class _Memory:
    """Who reads a tensor of a graph last, also through views of it."""

    def __init__(self, graph: fx.Graph) -> None:
        self._places = {node: place for place, node in enumerate(graph.nodes)}
        self._new = {
            node for node in graph.nodes if name_of(node) in _NEW or node.target is convolve
        }

    def is_free(self, node: object, reader: fx.Node) -> bool:
        """Says whether what `node` gives has memory of its own, of the shape and type of what
        `reader` gives, and `reader` is the last to read it and does so once."""
        if not isinstance(node, fx.Node) or not self._is_own(node) or not alike(node, reader):
            return False
        others = node.users.keys() - {reader}
        return reader.args.count(node) == 1 and all(self._ends(each, reader) for each in others)

    def rename(self, old: fx.Node, new: fx.Node) -> None:
        """Notes that a node has taken the place of another, with memory of its own."""
        self._places[new] = self._places[old]
        self._new.add(new)

    def _is_own(self, node: fx.Node) -> bool:
        """Says whether nobody else sees the memory of what a node gives."""
        if node in self._new:
            return True
        given = node.all_input_nodes[:1] if name_of(node) in _WHOLE else ()
        return any(len(each.users) == 1 and self._is_own(each) for each in given)

    def _ends(self, user: fx.Node, reader: fx.Node) -> bool:
        """Says whether a user of a tensor is done with it before `reader`, and so are those of what
        it gives where that may be a part of the tensor."""
        if user.op == "output" or self._places[user] >= self._places[reader]:
            return False
        return user in self._new or all(self._ends(each, reader) for each in user.users)
