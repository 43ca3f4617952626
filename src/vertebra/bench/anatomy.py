"""What a classifier is made of: its levels with their shapes, parameters and multiply-adds."""

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

from torch import nn

from vertebra.bench.account import macs_by_part
from vertebra.bench.operations import operations
from vertebra.contracts import Classifier


class Level(NamedTuple):
    """One level of a backbone, or the head.

    layers: what it holds, as "4 x Bottleneck".
    shape:  of what it gives for one image, without the sample; None if it gives no tensor.
    """

    name: str
    layers: str
    shape: tuple[int, ...] | None
    parameters: int
    macs: int


def anatomy(model: Classifier, *, image_size: int, in_channels: int = 3) -> list[Level]:
    """Returns the levels of the backbone, from image to vector, and the head."""
    parts = [*model.backbone.levels(), model.head]
    found = operations(model, image_size=image_size, in_channels=in_channels)
    macs = macs_by_part(found.all)
    names = {id(module): name for name, module in model.named_modules()}
    return [
        Level(
            name=_name(part, names),
            layers=_layers(part),
            shape=found.shapes.get(names.get(id(_last(part)), "")),
            parameters=sum(parameter.numel() for parameter in part.parameters()),
            macs=_macs_within(part, macs, names),
        )
        for part in parts
    ]


def _macs_within(part: nn.Module, macs: Mapping[str, int], names: Mapping[int, str]) -> int:
    """Returns the multiply-adds of a part; of a mere list of modules, those of what it lists."""
    name = names.get(id(part), "")
    if name in macs:
        return macs[name]
    return sum(_macs_within(child, macs, names) for child in part.children())


def _last(part: nn.Module) -> nn.Module:
    """Returns the part; of a mere list of modules, which is never called, the last one."""
    parts = list(part.children()) if isinstance(part, nn.ModuleList) else []
    return _last(parts[-1]) if parts else part


def _name(part: nn.Module, names: Mapping[int, str]) -> str:
    """Returns the part's name; of a list that a backbone made up for a level, its modules'."""
    listed = [part] if id(part) in names else list(part.children())
    known = [names[id(each)] for each in listed if id(each) in names]
    return ", ".join(name.removeprefix("backbone.") for name in known)


def _layers(part: nn.Module) -> str:
    if not isinstance(part, nn.Sequential | nn.ModuleList):
        return type(part).__name__
    runs = [(name, len([*run])) for name, run in groupby(type(each).__name__ for each in part)]
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in runs)
