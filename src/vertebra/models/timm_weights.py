"""Weights of timm into a timm backbone, with timm's own rules for channels, sizes and old names."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vertebra.errors import CheckpointError
from vertebra.models.timm import TimmBackbone
from vertebra.models.timm_library import PREFIX, library


class TimmHead(NamedTuple):
    """The linear classifier in a file of timm: weight [K, width], bias [K]."""

    weight: Tensor
    bias: Tensor


def load_into(backbone: TimmBackbone, state: Mapping[str, Tensor]) -> list[str]:
    """Copies all but timm's classifier; returns the tensors that were made to fit, with shapes.

    Raises:
        CheckpointError: they are another model's, or cannot be made to fit.
    """
    classifiers = tuple(f"{name}." for name in _classifiers(backbone))
    rest = {name: value for name, value in state.items() if not name.startswith(classifiers)}
    loaded = _loaded(backbone, rest)
    is_lenient = backbone.in_channels != 3 or not set(loaded) <= set(rest)
    if is_lenient and (drawn := _differing(loaded, _loaded(backbone, rest))):
        raise CheckpointError(
            f"timm cannot make the weights fit {PREFIX}{backbone.name} with "
            f"{backbone.in_channels} channels: it would draw {drawn[0]} anew; start without weights"
        )
    backbone.net.load_state_dict(loaded)
    return [
        f"{name} {list(rest[name].shape)} -> {list(value.shape)}"
        for name, value in loaded.items()
        if name in rest and rest[name].shape != value.shape
    ]


def head_of(backbone: TimmBackbone, state: Mapping[str, Tensor]) -> TimmHead | None:
    """Returns the classifier, if it is one linear map of the vector."""
    names = _classifiers(backbone)
    if len(names) != 1 or f"{names[0]}.weight" not in state:
        return None
    weight = state[f"{names[0]}.weight"].flatten(1)
    bias = state.get(f"{names[0]}.bias", torch.zeros(len(weight)))
    start = backbone.configuration.get("label_offset", 0)  # a class "background" comes first
    if weight.shape[1] != backbone.width:
        return None
    return TimmHead(weight[start:], bias[start:])


def _classifiers(backbone: TimmBackbone) -> tuple[str, ...]:
    named: str | tuple[str, ...] | None = backbone.configuration.get("classifier")
    return (named,) if isinstance(named, str) else tuple(named or ())


def _loaded(backbone: TimmBackbone, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the state of a second network of the same kind that timm has loaded."""
    weights = {"state_dict": state, "num_classes": 0, "classifier": None, "label_offset": 0}
    arguments = {**backbone.arguments, "pretrained": True, "pretrained_cfg_overlay": weights}
    try:
        net = library().create_model(backbone.name, num_classes=0, **arguments)
    except Exception as error:  # whatever timm's filters of old names, and torch, raise
        told = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CheckpointError(
            f"the weights are not those of {PREFIX}{backbone.name} "
            f"({' '.join(told[:2])[:200]}); build the model they belong to"
        ) from error
    return net.state_dict()


def _differing(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    return [name for name, value in state.items() if not torch.equal(value, other[name])]
