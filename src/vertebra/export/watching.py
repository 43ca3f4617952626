"""Writes down which operators a network runs, by watching it answer.

Where nothing is kept for gradients, a mode of torch sees each operator before it is taken apart.
Torch's export writes the same list from shapes alone, but imports torch's compiler for it.

Two answers tell which numbers depend on how many images there are: what is two with two images and
three with three is their number, and so for multiples of it. Nothing else may differ.
"""

# torch documents what watches every operator, and what an operator takes, under private names only
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
# pyright: reportUnknownParameterType=false

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves, tree_map, tree_structure
from torch.utils.weak import WeakTensorKeyDictionary

from vertebra.uncompiled import Mode

_COUNTS = (2, 3)
"""Images that a network answers for, where it may be given any number of them."""

_COPIES: dict[Any, Any] = {
    torch.ops.aten.lift_fresh.default: torch.ops.aten.lift_fresh_copy.default
}
"""What may give a constant itself -> what gives a copy, that may be written over in each call."""


@dataclass(frozen=True)
class PerImage:
    """A whole number that is so many times the number of images."""

    times: int


class TensorSpec(NamedTuple):
    """The shape and type of a tensor; sides of the shape may depend on the number of images."""

    shape: tuple[int | PerImage, ...]
    dtype: torch.dtype

    def shape_with(self, count: int) -> list[int]:
        """Returns the shape with so many images."""
        return [each.times * count if isinstance(each, PerImage) else each for each in self.shape]


@dataclass(frozen=True)
class _Place:
    """Stands for a tensor: its place among those that came up, with the images at 0."""

    number: int


class _Step(NamedTuple):
    """An operator that was run.

    given:  its arguments by place and by name, with places for tensors that came up before; other
            tensors are constants.
    answer: a place, or a list of them.
    """

    operator: OpOverload
    given: Any
    answer: Any


class _Tape(NamedTuple):
    """What a network did for one number of images; specs are of the tensors that came up."""

    steps: Sequence[_Step]
    specs: Sequence[TensorSpec]
    answer: Any


def watch(net: nn.Module, image: Tensor, *, is_one: bool) -> fx.GraphModule:
    """Returns what `net` does with images like this one, [1, C, H, W]: with one, or else with any
    number from two on. Each node has the `TensorSpec` of its tensor in its `meta`, as "spec"; the
    module has the structure of the answer in its own, as "answer".

    Raises:
        ValueError: the network decides by the values of a tensor, or by how many images there are.
    """
    with torch.inference_mode():
        net(image)  # may make something for this size, and keep it
    if is_one:
        return _Written(_tape(net, image)).module
    first, second = (_tape(net, image.expand(count, -1, -1, -1)) for count in _COUNTS)
    return _Written(tree_map(_for_any, first, second)).module


class _Watch(Mode):
    """Notes each operator with what it takes and gives."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.steps: list[_Step] = []
        self.specs: list[TensorSpec] = []
        self._places = WeakTensorKeyDictionary()  # tensors that are gone need no place
        self._note(images)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        given = tree_map(self.place, (tuple(args), kwargs or {}))
        _require_known(func, args, given)
        made = func(*args, **(kwargs or {}))
        leaves = made if isinstance(made, tuple | list) else [made]
        if not all(isinstance(each, Tensor) for each in leaves):
            if any(isinstance(each, _Place) for each in tree_leaves(given)):
                raise ValueError(f"the network decides by the values of a tensor, in {func.name()}")
            return made
        places = [self._note(each) for each in leaves]
        answer = places if leaves is made else places[0]
        self.steps.append(_Step(_COPIES.get(func, func), given, answer))
        return made

    def place(self, leaf: Any) -> Any:
        """Returns the place of a tensor that came up; anything else as it is."""
        return self._places.get(leaf, leaf) if isinstance(leaf, Tensor) else leaf

    def _note(self, tensor: Tensor) -> _Place:
        found = self._places[tensor] = _Place(len(self.specs))
        self.specs.append(TensorSpec(tuple(tensor.shape), tensor.dtype))
        return found


def _require_known(func: OpOverload, args: Sequence[Any], given: Any) -> None:
    """Checks that shapes do not depend on values, and that no constant is written over."""
    if torch.Tag.dynamic_output_shape in func.tags and not _is_list_of_places(func, args):
        raise ValueError(f"the network gives as many numbers as its values say, in {func.name()}")
    by_place, by_name = given
    for at, each in enumerate(func._schema.arguments):
        value = by_place[at] if at < len(by_place) else by_name.get(each.name)
        is_written = each.alias_info is not None and each.alias_info.is_write
        if is_written and any(isinstance(leaf, Tensor) for leaf in tree_leaves(value)):
            raise ValueError(f"the network writes over its weights, in {func.name()}")


def _is_list_of_places(func: OpOverload, args: Sequence[Any]) -> bool:
    """Says whether an operator takes as many numbers as it is told, in contrast to a mask."""
    masks = (torch.bool, torch.uint8)
    return func is torch.ops.aten.index.Tensor and all(
        each is None or each.dtype not in masks for each in args[1]
    )


@torch.inference_mode()
def _tape(net: nn.Module, images: Tensor) -> _Tape:
    images = images.contiguous(memory_format=torch.channels_last)
    with _Watch(images) as watch:
        answer = net(images)
    return _Tape(watch.steps, watch.specs, tree_map(watch.place, answer))


def _for_any(one: Any, other: Any) -> Any:
    """Returns what is the same in both tapes, with numbers that depend on how many images there
    are as such."""
    if isinstance(one, Tensor):
        if one is other or (isinstance(other, Tensor) and torch.equal(one, other)):
            return one
    elif one == other and type(one) is type(other):
        return one
    elif isinstance(one, int) and isinstance(other, int):
        times, rest = divmod(one, _COUNTS[0])
        if rest == 0 and other == times * _COUNTS[1]:
            return PerImage(times)
    raise ValueError(
        f"the network decides by the number of images: with two of them it has {one} where it has "
        f"{other} with three"
    )


class _Written:
    """A tape as a module without parts, whose graph can be rewritten."""

    def __init__(self, tape: _Tape) -> None:
        self._root = nn.Module()
        self._graph = fx.Graph()
        self._tensors: list[fx.Node] = []
        self._constants: dict[int, fx.Node] = {}
        self._counts: dict[int, fx.Node] = {}
        self._specs = tape.specs
        self._tensor(self._graph.placeholder("images"))
        for step in tape.steps:
            self._write(step)
        self._graph.output(tree_map(self._node, tape.answer))
        self.module = fx.GraphModule(self._root, self._graph)
        self.module.meta["answer"] = tree_structure(tape.answer)

    def _write(self, step: _Step) -> None:
        args, kwargs = tree_map(self._node, step.given)
        made = self._graph.call_function(step.operator, args, kwargs)
        if isinstance(step.answer, _Place):
            self._tensor(made)
            return
        for at in range(len(step.answer)):
            self._tensor(self._graph.call_function(operator.getitem, (made, at)))

    def _tensor(self, node: fx.Node) -> None:
        node.meta["spec"] = self._specs[len(self._tensors)]
        self._tensors.append(node)

    def _node(self, leaf: Any) -> Any:
        if isinstance(leaf, _Place):
            return self._tensors[leaf.number]
        if isinstance(leaf, PerImage):
            return self._count(leaf.times)
        return self._constant(leaf) if isinstance(leaf, Tensor) else leaf

    def _constant(self, value: Tensor) -> fx.Node:
        if id(value) not in self._constants:
            name = f"weight_{len(self._constants)}"
            setattr(self._root, name, value)
            node = self._constants[id(value)] = self._graph.get_attr(name)
            node.meta["spec"] = TensorSpec(tuple(value.shape), value.dtype)
        return self._constants[id(value)]

    def _count(self, times: int) -> fx.Node:
        if times not in self._counts:
            count = torch.ops.aten.sym_size.int
            node = self._graph.call_function(count, (self._tensors[0], 0))
            if times != 1:
                node = self._graph.call_function(operator.mul, (node, times))
            self._counts[times] = node
        return self._counts[times]
