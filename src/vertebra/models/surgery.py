"""Replaces the batch norms of any network by group norms, and standardises its convolutions.

Source: Group Normalization (2018), sections 3 and 4; Micro-Batch Training with Batch-Channel
Normalization and Weight Standardization (2019), section 3.
Differs: the paper trains with group norms from the start. In evaluation a batch norm is a fixed
scale and shift of each channel and a group norm is not, so weights that are carried over are a warm
start, to be trained, and no conversion.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from torch import Tensor, nn

from vertebra.errors import RecipeError
from vertebra.layers.conv_like import conv_like
from vertebra.layers.norm import GroupNormSpec, GroupNormThen
from vertebra.layers.standardised_conv import StandardisedConv2d
from vertebra.uncompiled import outline

AnyModule = TypeVar("AnyModule", bound=nn.Module)

FEW_CHANNELS = 8
"""Groups of fewer channels are told of: in the paper's table they cost accuracy."""

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


class SwappedNorm(NamedTuple):
    """A norm that was replaced: its qualified name, the class it was of, what it has become."""

    name: str
    kind: type[nn.Module]
    channels: int
    groups: int


@dataclass(frozen=True, kw_only=True)
class SwapReport:
    """What an operation did.

    norms:        in the order of the network.
    standardised: names of the convolutions.
    dropped:      names in the old state dict that the new one lacks.
    warnings:     sentences for the reader.
    """

    norms: tuple[SwappedNorm, ...]
    standardised: tuple[str, ...]
    dropped: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def widths(self) -> Mapping[tuple[int, int], int]:
        """(channels, groups) -> number of norms that have them."""
        return Counter(sorted((each.channels, each.groups) for each in self.norms))


class Swapped(NamedTuple, Generic[AnyModule]):
    """A network with group norms, and what was done to get it."""

    model: AnyModule
    report: SwapReport


def swap_norm(
    model: AnyModule, norm: Literal["group"] | GroupNormSpec = "group", *, standardise: bool = False
) -> Swapped[AnyModule]:
    """Returns a copy of any network with a group norm in the place of each batch norm.

    Scales and shifts are carried over, so that a scale of zero stays zero; device, dtype and mode
    are kept and running statistics dropped. Norms that are synchronised, frozen, of vectors or
    clips, or that hold an activation are taken too.

    norm:        how many groups a layer gets; "group" is 16 channels a group.
    standardise: the convolutions before a norm apply standardised filters.

    Raises:
        RecipeError: there is no batch norm inside.
    """
    copy = deepcopy(model)
    norms = replace_norms(copy, GroupNormSpec() if norm == "group" else norm)
    standardised = standardise_convolutions(copy) if standardise else ()
    kept = copy.state_dict().keys()
    report = SwapReport(
        norms=norms,
        standardised=standardised,
        dropped=tuple(key for key in model.state_dict() if key not in kept),
        warnings=tuple(_warnings(norms, standardised)),
    )
    return Swapped(copy, report)


def replace_norms(model: nn.Module, norm: GroupNormSpec) -> tuple[SwappedNorm, ...]:
    """Replaces every batch norm inside `model`, in place; returns what was replaced.

    Raises:
        RecipeError: there is none.
    """
    made: dict[nn.Module, nn.GroupNorm] = {}  # a norm in two places stays one
    swapped: list[SwappedNorm] = []
    for name, old in list(model.named_modules(remove_duplicate=False)):
        if name and is_batch_norm(old):
            if old not in made:
                made[old] = new = _group_norm_like(old, norm)
                swapped.append(SwappedNorm(name, type(old), new.num_channels, new.num_groups))
            _put(model, name, made[old])
    if not swapped:
        raise RecipeError(
            f"the {type(model).__name__} has no batch norm inside; there is nothing to replace"
        )
    return tuple(swapped)


def standardise_convolutions(model: nn.Module) -> tuple[str, ...]:
    """Makes each convolution before a norm a `StandardisedConv2d`, in place; returns their names.

    "Before" is in the order in which the network lists its parts. Only plain `nn.Conv2d`s of as
    many channels as the norm and with more than one weight a filter are taken.
    """
    names: list[str] = []
    for (name, conv), (_, norm) in pairwise(list(_parts(model))):
        if type(conv) is not nn.Conv2d or conv.weight[0].numel() == 1 or not _is_norm(norm):
            continue
        if _channels(norm) == conv.out_channels:
            _put(model, name, conv_like(conv, StandardisedConv2d))
            names.append(name)
    return tuple(names)


def is_batch_norm(module: nn.Module) -> bool:
    """Whether the module is a batch norm of torch's, or keeps the statistics of one as others do.

    Frozen batch norms are a class of its own in every library that has them.
    """
    statistics = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    keeps_them = all(isinstance(each, Tensor) for each in statistics)
    return isinstance(module, _BATCH_NORMS) or (
        keeps_them and not isinstance(module, _INSTANCE_NORMS)
    )


def _group_norm_like(old: nn.Module, norm: GroupNormSpec) -> nn.GroupNorm:
    """Returns the norm that takes the place of `old`, with its very weight and bias."""
    weight, bias = (getattr(old, each, None) for each in ("weight", "bias"))
    channels = _channels(old)
    children = dict(old.named_children())
    kind = GroupNormThen if children else nn.GroupNorm
    with outline():  # its own tensors are replaced at once
        new = kind(norm.groups_of(channels), channels, eps=norm.eps, affine=weight is not None)
    new.weight, new.bias = _parameter(weight), _parameter(bias)  # pyright: ignore[reportAttributeAccessIssue]
    for each, child in children.items():
        new.add_module(each, child)
    return new.train(old.training)


def _parameter(value: Tensor | None) -> nn.Parameter | None:
    """Returns a parameter as it is, and a buffer, as a frozen norm has it, as one that learns."""
    if value is None or isinstance(value, nn.Parameter):
        return value
    return nn.Parameter(value.detach().clone())


def _put(model: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, part)


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields norms, and what has no parts of its own but those that pass values on."""
    for name, module in model.named_modules(remove_duplicate=False):
        is_leaf = next(module.children(), None) is None
        if _is_norm(module) or (is_leaf and not isinstance(module, nn.Identity)):
            yield name, module


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.GroupNorm) or is_batch_norm(module)


def _channels(norm: Any) -> int:
    if isinstance(norm, nn.GroupNorm):
        return norm.num_channels
    return norm.num_features if isinstance(norm, _BATCH_NORMS) else len(norm.running_mean)


def _warnings(norms: Sequence[SwappedNorm], standardised: Sequence[str]) -> Iterator[str]:
    yield (
        "the weights are a warm start, no conversion: until it is trained again the network is "
        "much worse than it was"
    )
    yield (
        "options for batch statistics (momentum, synchronising, recalibrating them) have no effect "
        "any more; their noise regularised, so give long runs more of something else"
    )
    narrow = [each.name for each in norms if each.channels // each.groups < FEW_CHANNELS]
    if narrow:
        yield (
            f"{len(narrow)} of {len(norms)} norms have fewer than {FEW_CHANNELS} channels a group, "
            f"{narrow[0]} the first; 16 a group are safe"
        )
    kinds = {each.kind for each in norms}
    if holding := _names(kind for kind in kinds if kind not in _BATCH_NORMS):
        yield f"of another library: {holding}; what these hold is taken to follow the norm in order"
    if frozen := _names(kind for kind in kinds if not issubclass(kind, _BATCH_NORMS)):
        yield f"{frozen} were frozen; their scales and shifts learn from now on"
    if standardised:
        yield (
            f"{len(standardised)} convolutions apply standardised filters, which forget how the "
            "filters of one group compare in size"
        )


def _names(kinds: Iterable[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in kinds))
