"""The parts of a timm model from image to vector, as timm groups its layers."""

from collections import defaultdict
from collections.abc import Mapping

from torch import nn

from vertebra.models.timm_library import library


def levels_of(net: nn.Module) -> tuple[nn.Module, ...]:
    """Returns the levels: a module each, or a list of modules and of parameters without one.

    A model that timm does not group has a level for each of its direct parts.
    """
    places = _places(net)
    levels: defaultdict[int, nn.ModuleList] = defaultdict(nn.ModuleList)
    _collect(net, places, levels)
    return tuple(_only(levels[place]) for place in sorted(levels))


def _only(parts: nn.ModuleList) -> nn.Module:
    return parts[0] if len(parts) == 1 else parts


def _collect(
    module: nn.Module,
    places: Mapping[nn.Parameter, int],
    levels: defaultdict[int, nn.ModuleList],
) -> None:
    found = {places[each] for each in module.parameters()}
    if len(found) == 1:
        levels[found.pop()].append(module)
        return
    for own in module.parameters(recurse=False):
        levels[places[own]].insert(0, nn.ParameterList([own]))
    for child in module.children():
        _collect(child, places, levels)


def _places(net: nn.Module) -> dict[nn.Parameter, int]:
    """Returns the level of each parameter."""
    names = _grouped(net) or _in_order(net)
    return {parameter: names[name] for name, parameter in net.named_parameters()}


def _grouped(net: nn.Module) -> dict[str, int]:
    matcher = getattr(net, "group_matcher", None)
    if matcher is None:
        return {}
    try:
        groups = matcher(coarse=True)
    except AssertionError:  # it has only fine groups
        groups = matcher(coarse=False)
    return library().models.group_parameters(net, groups, reverse=True)


def _in_order(net: nn.Module) -> dict[str, int]:
    """Returns a level for each direct part; parameters of the net itself go with the first."""
    parts = {name: place for place, (name, _) in enumerate(net.named_children())}
    return {name: parts.get(name.partition(".")[0], 0) for name, _ in net.named_parameters()}
