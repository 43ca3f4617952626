"""One network divided into several small ones that together cost as much.

Source: Towards Better Accuracy-efficiency Trade-offs: Divide and Co-training (2022), equation 6
for the decay of weights, and its code for what else each family gets.
Differs: `width` takes any factor, where the paper rounds each family's in a way of its own and
narrows a wide ResNet inside its blocks only. What the paper does not divide goes by width as well,
and its dropout weakens as that of networks with gates.

parameters and operations of a convolution grow with the square of the width:

    1 x C x C   =   S x (C / sqrt S) x (C / sqrt S)             in groups: those divided by S
"""

import math
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from vertebra.errors import RecipeError
from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.bit import BiTSpec
from vertebra.models.convnext import ConvNeXtSpec
from vertebra.models.convnext_rung import ConvNeXtRungSpec
from vertebra.models.ensemble import Ensemble, EnsembleSpec
from vertebra.models.levit import LeViTSpec
from vertebra.models.networks import NetworkSpec
from vertebra.models.ranges import require_count
from vertebra.models.resnet import ResNetSpec
from vertebra.models.resnet3d import ResNet3dSpec
from vertebra.models.shelf import title
from vertebra.models.timm import TimmSpec

_Dropping: TypeAlias = ConvNeXtRungSpec | ConvNeXtSpec | LeViTSpec | ResNet3dSpec | ResNetSpec
"""Specs that can drop residual branches."""

AnyDropping = TypeVar("AnyDropping", bound=_Dropping)


@dataclass(frozen=True, kw_only=True)
class DividedSpec:
    """Networks that together cost as much as one, as a value.

    whole:    that one.
    networks: how many it becomes.
    """

    whole: NetworkSpec
    networks: int = 2

    def __post_init__(self) -> None:
        divide(self.whole, self.networks)

    def build(self, in_channels: int = 3) -> Ensemble:
        """Returns the networks, each freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        return divide(self.whole, self.networks).build(in_channels)


def divide(spec: NetworkSpec, networks: int) -> EnsembleSpec:
    """Returns so many smaller networks in the place of one.

    Those with grouped convolutions have fewer groups, all others fewer channels; stochastic depth
    and DropBlock are weaker by sqrt(networks).

    Raises:
        RecipeError: its groups cannot be shared out, or it has no width.
    """
    require_count("networks", networks)
    if isinstance(spec, ArchNetSpec | TimmSpec):
        raise RecipeError(
            f"{title(spec)} has no width to divide; choose a model of ours, or write a recipe "
            "whose model is an EnsembleSpec of smaller ones"
        )
    if networks == 1:
        return EnsembleSpec(member=spec, networks=1)
    if isinstance(spec, _Dropping):
        spec = _steadied(spec, networks)
    if not isinstance(spec, ResNetSpec) or spec.groups == 1:
        return EnsembleSpec(
            member=replace(spec, width=_by_root(spec.width, networks)), networks=networks
        )
    if spec.groups % networks:
        raise RecipeError(
            f"groups={spec.groups} cannot be shared by networks={networks}; "
            f"choose a number of networks that divides them"
        )
    return EnsembleSpec(member=replace(spec, groups=spec.groups // networks), networks=networks)


def weakened_dropout(spec: NetworkSpec, dropout: float, networks: int) -> float:
    """Returns the rate before the classifiers of the smaller networks.

    It is divided by the number of networks for plain residual ones, else by its root.
    """
    is_plain = isinstance(spec, BiTSpec) or (
        isinstance(spec, ResNetSpec) and spec.squeeze is None and spec.spatial is None
    )
    return dropout / networks if is_plain else dropout / math.sqrt(networks)


def weakened_decay(weight_decay: float, networks: int) -> float:
    """Returns the weight decay of the smaller networks, weight_decay * exp(1 / networks - 1).

    The paper has it on some data sets only; where it helps has to be tried.
    """
    return weight_decay * math.exp(1 / networks - 1)


def _steadied(spec: AnyDropping, networks: int) -> AnyDropping:
    """Returns the network with what is dropped inside it at lower rates."""
    rate = _by_root(spec.stochastic_depth, networks)
    if isinstance(spec, ResNetSpec):
        drop_block = _by_root(spec.drop_block, networks)
        return replace(spec, stochastic_depth=rate, drop_block=drop_block)
    return replace(spec, stochastic_depth=rate)


def _by_root(value: float, networks: int) -> float:
    """Returns value / sqrt(networks) in four digits: a title is to be read."""
    return float(f"{value / math.sqrt(networks):.4g}")
