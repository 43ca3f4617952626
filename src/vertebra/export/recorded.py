"""A network as the list of operators that it runs on images of one size.

Such a list can be rewritten, as it shows who reads a tensor and who does so last. The modules are
gone, and the weights are constants.
"""

# torch has no public name for what an operator takes
# pyright: reportPrivateUsage=false

from collections.abc import Iterable
from operator import attrgetter, getitem
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.fx.node import map_arg

from vertebra.export.watching import PerImage, TensorSpec, watch

_IDLE = {"aten::dropout", "aten::feature_dropout", "aten::alias", "aten::detach"}
"""What gives in evaluation what it is given."""

_SHAPES = {"aten::flatten", "aten::reshape", "aten::view"}
"""What may give what it is given: where that has the shape already."""


def record(net: nn.Module, image: Tensor, *, is_one: bool) -> fx.GraphModule:
    """Returns what `net`, in evaluation, does with images of the size and type of this one,
    [1, C, H, W]: with one, or else with any number from two on.

    Raises:
        ValueError: the network decides by the values of a tensor, or by how many images there are.
    """
    module = watch(net, image, is_one=is_one)
    for node in [*module.graph.nodes]:
        if name_of(node) in _IDLE or _keeps_shape(node):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    return module


def _keeps_shape(node: fx.Node) -> bool:
    return name_of(node) in _SHAPES and shape_of(node) == shape_of(node.all_input_nodes[0])


def call(target: Any, node: fx.Node, args: Iterable[Any]) -> fx.Node:
    """Returns a call of `target` in the place of `node`, whose shape and type it has."""
    graph = node.graph
    with graph.inserting_before(node):
        new = graph.call_function(target, tuple(args))
    put(new, node)
    return new


def put(new: fx.Node, old: fx.Node) -> None:
    """Puts a node of the same shape and type in the place of another."""
    new.meta = dict(old.meta)
    old.replace_all_uses_with(new)
    old.graph.erase_node(old)


def name_of(node: object) -> str:
    """Returns the name of the operator that a node calls, such as "aten::relu_"; else ""."""
    target = node.target if isinstance(node, fx.Node) else None
    return target.name().partition(".")[0] if isinstance(target, OpOverload) else ""


def argument(node: fx.Node, name: str) -> Any:
    """Returns what an operator is given under this name, by its place or name, or its default."""
    schema = cast(OpOverload, node.target)._schema
    (place,) = (at for at, each in enumerate(schema.arguments) if each.name == name)
    if place < len(node.args):
        return node.args[place]
    return node.kwargs.get(name, schema.arguments[place].default_value)


def spec_of(node: fx.Node) -> TensorSpec | None:
    """Returns the shape and type of the tensor that a node gives; None where it gives no tensor."""
    return node.meta.get("spec")


def shape_of(node: fx.Node) -> tuple[int | PerImage, ...]:
    """Returns the shape of the tensor that a node gives."""
    return node.meta["spec"].shape


def sizes_of(node: fx.Node, count: int) -> list[int]:
    """Returns the shape of the tensor that a node gives for `count` images."""
    return node.meta["spec"].shape_with(count)


def dtype_of(node: fx.Node) -> torch.dtype:
    """Returns the type of the tensor that a node gives."""
    return node.meta["spec"].dtype


def alike(one: fx.Node, other: fx.Node) -> bool:
    """Says whether two nodes give tensors, and of the same shape and type."""
    return spec_of(one) is not None and spec_of(one) == spec_of(other)


def is_mean_over_sides(node: fx.Node) -> bool:
    """Says whether a node gives the mean over the sides of maps [N, C, H, W], of their type."""
    if node.target is not torch.ops.aten.mean.dim:
        return False
    maps = node.all_input_nodes[0]
    axes = len(shape_of(maps))
    sides = sorted(each % axes for each in argument(node, "dim") or ())
    return axes == 4 and sides == [2, 3] and dtype_of(maps) == dtype_of(node)


def overwrites(node: fx.Node) -> bool:
    """Says whether an operator writes over what it is given."""
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def constant(module: fx.GraphModule, node: object) -> Tensor | None:
    """Returns the tensor that a node gives in every call; None where it is not always the same."""
    if not (isinstance(node, fx.Node) and node.op == "get_attr"):
        return None
    found = attrgetter(str(node.target))(module)
    return found if isinstance(found, Tensor) else None


def set_constant(module: fx.GraphModule, value: Tensor, before: fx.Node) -> fx.Node:
    """Returns a node, before another one, that gives this tensor.

    A plain attribute of the module: packed weights have no strides, so they can be no buffers.
    """
    name = f"constant_{sum(each.op == 'get_attr' for each in module.graph.nodes)}"
    while hasattr(module, name):
        name += "_"
    setattr(module, name, value)
    with module.graph.inserting_before(before):
        return module.graph.create_node("get_attr", name)


def let_go(module: fx.GraphModule, value: Tensor) -> None:
    """Gives a constant's memory back, for all who hold it, unless an operator still reads it."""
    memory = value.untyped_storage()
    for node in module.graph.nodes:
        if node.op == "get_attr" and node.users:
            held = constant(module, node)
            if held is not None and _lies_in(held, memory):
                return
    memory.resize_(0)


def _lies_in(tensor: Tensor, memory: torch.UntypedStorage) -> bool:
    is_packed = tensor.layout != torch.strided  # what is packed has a memory of its own
    return not is_packed and tensor.untyped_storage().data_ptr() == memory.data_ptr()


def fold_constants(module: fx.GraphModule) -> None:
    """Computes once what depends on constants alone, such as a table of biases that is looked up.

    What something writes over stays.
    """
    values: dict[fx.Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            values[node] = constant(module, node)
        elif _is_constant(node, values):
            args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
            with torch.no_grad():
                values[node] = node.target(*args, **kwargs)
    for node, value in values.items():
        is_last = not node.users.keys() <= values.keys()
        if node.op == "call_function" and is_last and isinstance(value, Tensor):
            put(set_constant(module, value, node), node)
    module.graph.eliminate_dead_code()


def _is_constant(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    is_pure = node.target is getitem or isinstance(node.target, OpOverload)
    if node.op != "call_function" or not is_pure or any(map(overwrites, (node, *node.users))):
        return False
    return bool(node.all_input_nodes) and all(each in values for each in node.all_input_nodes)
