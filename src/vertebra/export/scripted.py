"""A recorded network as TorchScript: torch runs its operators, and no Python comes between them.

For a small operator the call from Python takes as long as what it does. A recorded network has no
branches, so it is written out as one function: a line for each operator, with the weights in a
list. Networks with one image take 0.9 times as long, and with 16 up to 0.95 (two cores).
"""

# torch documents what an operator takes, and how a function is run, under private names only
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

import inspect
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from operator import attrgetter
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.fx.node import map_arg
from torch.utils._pytree import TreeSpec, tree_leaves, tree_unflatten

from vertebra.layers import sparse, winograd

_Function: TypeAlias = Callable[[Tensor, list[Tensor]], list[Tensor]]
"""From images and constants to the tensors in the answer."""

_OURS = (winograd.convolve, sparse.multiply_twice, sparse.multiply)
"""Functions of ours, the first of which is called as operators are. They are TorchScript too."""


class Script(nn.Module):
    """What a recorded network does, from its module, which is of no more use.

    graph: its operators.

    Raises:
        OSError: the source of our functions is not at hand.
        RuntimeError: TorchScript does not know what one of them takes or gives.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__()
        module.graph.eliminate_dead_code()
        self.graph = module.graph
        self.graph.owning_module = None  # which holds weights that are of no more use
        written = _Written(module)
        self._constants = written.constants  # packed weights have no strides: they are no buffers
        self._answer = tree_leaves(module.graph.output_node().args[0])
        self._structure: TreeSpec = module.meta["answer"]
        run = torch.jit.CompilationUnit(written.source).run
        # lists that were made in each call would lie where the next large tensor could
        torch._C._jit_pass_constant_propagation(run.graph)
        self._run: _Function = run

    def forward(self, images: Tensor) -> Any:
        """images: [N, C, H, W] -> what the network gives for them."""
        with torch.jit.optimized_execution(False):  # there is nothing left to optimize
            tensors = iter(self._run(images, self._constants))
        leaves = [next(tensors) if isinstance(each, fx.Node) else each for each in self._answer]
        return tree_unflatten(leaves, self._structure)


class _Written:
    """The source of a network, with the constants that it reads."""

    def __init__(self, module: fx.GraphModule) -> None:
        self.constants: list[Tensor] = []
        self._places: dict[int, int] = {}
        self._names: dict[fx.Node, _Name] = {}
        head = "def run(images: Tensor, constants: list[Tensor]) -> list[Tensor]:"
        network = "\n    ".join([head, *self._lines(module)])
        self.source = "\n".join([*map(inspect.getsource, _OURS), network, ""])

    def _lines(self, module: fx.GraphModule) -> Iterator[str]:
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self._names[node] = _Name("images")
            elif node.op == "get_attr":
                self._names[node] = self._constant(attrgetter(str(node.target))(module))
            elif node.op == "call_function":
                args, kwargs = map_arg((node.args, node.kwargs), self._names.__getitem__)
                self._names[node] = name = _Name(f"v{len(self._names)}")
                yield f"{name} = {_call(node.target, args, kwargs)}"
            else:
                leaves = [each for each in tree_leaves(node.args[0]) if isinstance(each, fx.Node)]
                yield f"return [{', '.join(map(self._names.__getitem__, leaves))}]"

    def _constant(self, value: Tensor) -> "_Name":
        place = self._places.setdefault(id(value), len(self.constants))
        if place == len(self.constants):
            self.constants.append(value)
        return _Name(f"constants[{place}]")


class _Name(str):
    """What the source calls a tensor or a number, in contrast to text."""


def _call(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Returns how a call is written."""
    if target is operator.getitem:
        return f"{args[0]}[{args[1]}]"
    if target is operator.mul:
        return f"{args[0]} * {args[1]}"
    if target is torch.ops.aten.sym_size.int:
        return f"{args[0]}.size({args[1]})"
    if target is winograd.convolve:
        return f"convolve({', '.join(map(_argument, args))})"
    schema = cast(OpOverload, target)._schema
    types = {each.name: each.type for each in schema.arguments}
    given = [_argument(*each) for each in zip(args, types.values(), strict=False)]
    given += [f"{name}={_argument(value, types[name])}" for name, value in kwargs.items()]
    return f"torch.ops.{schema.name.replace('::', '.')}({', '.join(given)})"


def _argument(value: Any, kind: Any = None) -> str:
    """Returns how an argument is written; of a list it has to be said what is in it."""
    if isinstance(value, _Name):
        return value
    if isinstance(value, tuple) and kind is None:
        return f"({', '.join(map(_argument, value))})"
    if isinstance(value, list | tuple):
        kind = kind.getElementType() if kind.kind() == "OptionalType" else kind
        inside = ", ".join(_argument(each, kind.getElementType()) for each in value)
        return f"torch.jit.annotate({kind.annotation_str}, [{inside}])"
    if isinstance(value, torch.device):
        return f"torch.device('{value}')"
    if isinstance(value, float) and not isfinite(value):
        return f"float('{value}')"
    return repr(value)
