"""Which operators a network needs, and which of them not every accelerator has.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021): 3x3
convolutions, 2x2 max pools, batch norms, linear maps, concatenations, and what the code of its
authors uses beside them: ReLU, quantisers and a mean over the last map.
Differs: slices of channels count as free, since that code cuts them too.
"""

# torch documents what watches every operator under a private name only
# pyright: reportPrivateImportUsage=false, reportPrivateUsage=false, reportUnknownParameterType=false

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from vertebra.errors import RecipeError
from vertebra.layers.learned_step import LearnedStep
from vertebra.layers.quantise import ActivationLevels
from vertebra.uncompiled import Mode

SUPPORTED = (
    "3x3 convolution",
    "2x2 max pool",
    "batch norm",
    "linear map",
    "ReLU",
    "concatenation",
    "quantiser",
    "mean over rows and columns",
)
"""What every accelerator has; a convolution strides by 1 or 2 and has no groups, a pool by 2."""

MAX_CHANNELS = 512
"""The most input channels that a convolution has to take."""

MOST_SAID = 6
"""So many kinds of operators are named in a message."""

_QUANTISERS = (ActivationLevels, LearnedStep)
_NAMES: Mapping[str, str] = {
    "_native_batch_norm_legit_no_training": "batch norm",
    "native_batch_norm": "batch norm",
    "addmm": "linear map",
    "mm": "linear map",
    "relu": "ReLU",
    "relu_": "ReLU",
    "cat": "concatenation",
    "clamp": "quantiser",
    "hardtanh": "quantiser",
    "add": "addition",
    "add_": "addition",
    "mul": "multiplication",
    "mul_": "multiplication",
    "native_layer_norm": "layer norm",
    "native_group_norm": "group norm",
    "bmm": "matrix product",
    "_softmax": "softmax",
    "_safe_softmax": "softmax",
}
_FREE = (
    *("detach", "alias", "clone", "_to_copy"),
    *("view", "_unsafe_view", "expand", "squeeze", "unsqueeze", "t", "transpose", "permute"),
    *("select", "slice", "split", "split_with_sizes"),
)
"""What moves numbers and computes none."""


class Operator(NamedTuple):
    """An operator, and the qualified name of the part of the network that applies it."""

    name: str
    where: str

    @property
    def is_supported(self) -> bool:
        """Whether every accelerator has it."""
        return self.name in SUPPORTED


def operators(
    model: nn.Module,
    *,
    image_size: int | tuple[int, int] = 64,
    in_channels: int = 3,
    max_channels: int = MAX_CHANNELS,
) -> list[Operator]:
    """Returns the operators that an image passes through in evaluation, in their order.

    What depends on weights alone, such as quantising them, is done once and does not count. Nothing
    is computed, and the model stays as it is.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    net = deepcopy(model).to("meta").eval()
    watch = _Watch(max_channels)
    for name, module in net.named_modules():
        module.register_forward_pre_hook(watch.entering(name))
        module.register_forward_hook(watch.leaving)
    image = torch.empty(1, in_channels, height, width, device="meta")
    with torch.no_grad(), watch:
        net(watch.follow(image))
    return watch.found


def require_supported(
    model: nn.Module,
    *,
    image_size: int | tuple[int, int] = 64,
    in_channels: int = 3,
    max_channels: int = MAX_CHANNELS,
) -> None:
    """Refuses a network that needs an operator which not every accelerator has.

    Raises:
        RecipeError: it does; the message names each, with the first part that applies it.
    """
    found = operators(
        model, image_size=image_size, in_channels=in_channels, max_channels=max_channels
    )
    rest = [each for each in found if not each.is_supported]
    if rest:
        raise RecipeError(
            f"the network needs {listed(rest)}, which not every accelerator has; use only "
            f"{', '.join(SUPPORTED)}, as an Arch-Net does"
        )


def listed(found: Sequence[Operator]) -> str:
    """Returns the operators of each name with their number and the first part that applies them."""
    counts = Counter(each.name for each in found)
    first = {each.name: each.where for each in reversed(found)}
    said = [f"{count} x {name} (first in {first[name]})" for name, count in counts.items()]
    return ", ".join(said[:MOST_SAID]) + (" and others" if len(said) > MOST_SAID else "")


class _Watch(Mode):
    """Notes each operator that takes something which the image has become."""

    def __init__(self, max_channels: int) -> None:
        super().__init__()
        self.found: list[Operator] = []
        self._max_channels = max_channels
        self._followed: dict[int, Tensor] = {}  # held, so that no other tensor gets the number
        self._parts: list[tuple[str, nn.Module]] = []

    def follow(self, tensor: Tensor) -> Tensor:
        self._followed[id(tensor)] = tensor
        return tensor

    def entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, _: self._parts.append((name, module))

    def leaving(self, *_: Any) -> None:
        self._parts.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if any(id(each) in self._followed for each in tree_leaves((args, kwargs))):
            for each in tree_leaves(made):
                if isinstance(each, Tensor):
                    self.follow(each)
            self._note(func.overloadpacket.__name__, args)
        return made

    def _note(self, kind: str, args: Sequence[Any]) -> None:
        where, part = self._parts[-1]
        if kind in _FREE:
            return
        is_quantiser = isinstance(part, _QUANTISERS)
        name = "quantiser" if is_quantiser else _name(kind, args, self._max_channels)
        operator = Operator(name, where)
        if not is_quantiser or self.found[-1:] != [operator]:  # of several steps, but one
            self.found.append(operator)


def _name(kind: str, args: Sequence[Any], max_channels: int) -> str:
    """Returns what an operator is called: the bare name of a kind only where nothing is special."""
    if kind == "convolution":
        return _convolution(args, max_channels)
    if kind == "max_pool2d_with_indices":
        _, kernel, *rest = args
        stride = rest[0] if rest else kernel
        name = f"{_by(kernel)} max pool"
        return name if set(stride) == {2} else f"{name} of stride {_by(stride)}"
    if kind == "mean":
        x, axes = cast(Tensor, args[0]), cast(Sequence[int], args[1] if len(args) > 1 else ())
        is_pool = x.ndim == 4 and {axis % 4 for axis in axes} == {2, 3}
        return "mean over rows and columns" if is_pool else "mean"
    return _NAMES.get(kind, kind.strip("_"))


def _convolution(args: Sequence[Any], max_channels: int) -> str:
    x, weight, _, stride, _, dilation, is_transposed, _, groups = args
    name = f"{_by(weight.shape[2:])} {'transposed ' if is_transposed else ''}convolution"
    special: list[str] = []
    if len(set(stride)) > 1 or stride[0] > 2:
        special.append(f"of stride {_by(stride)}")
    if set(dilation) != {1}:
        special.append(f"dilated by {_by(dilation)}")
    if groups > 1:
        special.append(f"in {groups} groups")
    if x.shape[1] > max_channels:
        special.append(f"of over {max_channels} channels")
    return " ".join((name, *special))


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
