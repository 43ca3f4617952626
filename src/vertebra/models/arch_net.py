"""Arch-Net: a residual network again, out of the few operators that every accelerator has.

Source: Arch-Net: Model Distillation for Architecture Agnostic Model Deployment (2021), and the code
of its authors; Learned Step Size Quantization (2019), for `levels="learned"`.
Differs: a convolution of more input channels than the limit becomes several whose outputs are
joined as a residual is. Stems of 3x3 convolutions stay as they are but for a pool. The ends of a
branch and of a projecting shortcut have no ReLU, so that the floating-point form can reproduce any
residual network; levels that start at zero give them one. The classifier makes up for the factor of
activations, so that its confidence stays. The authors used learned steps for their transformer
alone.

    in a residual network   7x7/2            3x3/2 max   1x1   1x1/2   average, 1x1   sum, ReLU
    here                    3x3, 3x3, 3x3/2  2x2/2 max   3x3   3x3/2   3x3/2          concat, 3x3
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from vertebra.contracts import Backbone
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.learned_step import LearnedStep
from vertebra.layers.linear_head import LinearHead
from vertebra.layers.quantise import ActivationLevels, FilterLevels, require_bits
from vertebra.layers.quantised import QuantisedConv2d, QuantisedHead
from vertebra.models.arch_net_original import ResidualUnit, as_3x3, blocks_of, units_of
from vertebra.models.arch_net_parts import ArchBlock, ConcatConv, WideConv, conv3x3
from vertebra.models.classifier import BackboneWithHead
from vertebra.models.ranges import require_count, require_one_of, scaled_depth
from vertebra.models.resnet import ResNetSpec
from vertebra.models.shell import ResidualNet, StagedNet, initialise
from vertebra.uncompiled import outline

Levels = Literal["fixed", "learned"]

HEAD_BITS = 8
"""Of the classifier's weights, wherever something is quantised."""

NEXT_TO_ZERO = 1e-10


class ArchNet(StagedNet, BackboneWithHead):
    """Gives maps and a vector of the same shapes as the residual network that it stands for."""

    def __init__(self, spec: "ArchNetSpec", like: ResidualNet) -> None:
        super().__init__()
        self.spec = spec
        self.in_channels, self.maps, self.width = like.in_channels, like.maps, like.width
        limit = spec.max_channels
        self.stem = _stem_like(like.stem, limit)
        self.stages = nn.ModuleList(
            nn.Sequential(*(_block_like(block, limit) for block in blocks_of(stage)))
            for stage in like.stages
        )

    def build_head(self, classes: int, *, dropout: float = 0.0) -> nn.Module:
        """Returns a fresh head, whose weights are quantised if anything else is."""
        spec = self.spec
        if spec.weight_bits is None and spec.activation_bits is None:
            return LinearHead(self.width, classes, dropout=dropout)
        gain = 1 / ActivationLevels.factor if spec.makes_small else 1.0
        return QuantisedHead(self.width, classes, bits=HEAD_BITS, gain=gain, dropout=dropout)


@dataclass(frozen=True, kw_only=True)
class ArchNetSpec:
    """The Arch-Net of a residual network as a value.

    of:              the residual network; how it drops blocks in training is of no effect here.
    weight_bits:     2 to 8, of the filters; None is floating point.
    activation_bits: 2 to 8, of what every convolution gives; None is floating point. If either is
                     quantised, the classifier has 8 bits.
    levels:          "fixed": of filters by their mean magnitude, of activations from 0 to 10;
                     "learned": multiples of a step, one for each tensor.
    max_channels:    most input channels of a convolution.
    """

    of: ResNetSpec
    weight_bits: int | None = 2
    activation_bits: int | None = 4
    levels: Levels = "fixed"
    max_channels: int = 512

    def __post_init__(self) -> None:
        for bits in (self.weight_bits, self.activation_bits):
            if bits is not None:
                require_bits(bits)
        require_one_of("levels", self.levels, get_args(Levels))
        require_count("max_channels", self.max_channels)
        plain = ResNetSpec()
        for name in ("squeeze", "spatial", "groups", "norm", "standardised"):
            value = getattr(self.of, name)
            if value != getattr(plain, name):
                raise RecipeError(
                    f"an Arch-Net has no counterpart of a residual network's {name}={value}; "
                    f"give a plain one, such as resnet18 or resnet50d"
                )

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive, or `max_channels` too few.
        """
        net = ArchNet(self, self.original(in_channels))
        initialise(net, zero_init_last=False)
        for part in list(net.modules()):
            if isinstance(part, ConvNorm):
                self._quantise(part)
        return net

    def original(self, in_channels: int) -> ResidualNet:
        """Returns the residual network without its numbers, on the meta device."""
        with outline():
            net = self.of.build(in_channels)
        if not isinstance(net, ResidualNet):
            raise RecipeError(f"{self.of} builds a {type(net).__name__}, no residual network")
        return net

    @property
    def numbers(self) -> str:
        """In which numbers it computes, as "filters of 2 bits, activations of 4 bits"."""
        each = (("filters", self.weight_bits), ("activations", self.activation_bits))
        said = [f"{name} of {bits} bits" for name, bits in each if bits is not None]
        return ", ".join(said) or "floating point"

    @property
    def makes_small(self) -> bool:
        """Whether activations are a tenth of what they would be in floating point."""
        return self.levels == "fixed" and self.activation_bits is not None

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """Counts the features up to the end of each stage: of the stem, of units, of blocks."""
        each = 1 + (2 if self.of.block == "basic" else 3)
        blocks = [scaled_depth(count, self.of.depth) for count in self.of.blocks]
        return tuple(1 + each * sum(blocks[: stage + 1]) for stage in range(len(blocks)))

    def _quantise(self, part: ConvNorm) -> None:
        """Makes a part quantise its filters and what it gives, as far as the spec says so."""
        has_relu = not isinstance(part.act, nn.Identity)
        learned = self.levels == "learned"
        if self.weight_bits is not None:
            bits = self.weight_bits
            levels = LearnedStep(bits, signed=True) if learned else FilterLevels(bits)
            part.conv = QuantisedConv2d.of(part.conv, levels)
        if self.activation_bits is not None:
            bits = self.activation_bits
            levels = LearnedStep(bits, signed=not has_relu) if learned else ActivationLevels(bits)
            part.act = nn.Sequential(part.act, levels) if has_relu else levels
        start_levels(part)


@torch.no_grad()
def start_levels(part: ConvNorm) -> None:
    """Makes the levels of a part suit the filters and the norm that it now holds.

    Fixed levels have none at zero: weights of zero get signs by chance, else all were rounded up.
    An outline has no values that they could suit.
    """
    if part.conv.weight.is_meta:
        return
    if isinstance(part.conv, QuantisedConv2d):
        weight, levels = part.conv.weight, part.conv.quantiser
        if isinstance(levels, LearnedStep):
            levels.start_for(weight)
        else:
            signs = torch.rand_like(weight).round() * 2 - 1
            weight.copy_(torch.where(weight == 0, signs * NEXT_TO_ZERO, weight))
    for levels in part.act.modules():
        if isinstance(levels, LearnedStep):
            levels.start_behind(part.norm)


def _stem_like(stem: nn.Module, limit: int) -> nn.Module:
    """Returns the stem with three 3x3 convolutions for a 7x7, and a 2x2 pool for a 3x3."""
    parts = OrderedDict[str, nn.Module]()
    for name, part in stem.named_children():
        if isinstance(part, ConvNorm) and part.conv.kernel_size == (7, 7):
            given, channels = part.conv.in_channels, part.conv.out_channels
            parts["first"] = conv3x3(given, channels, limit=limit)
            parts["second"] = conv3x3(channels, channels, limit=limit)
            parts["third"] = conv3x3(channels, channels, stride=2, limit=limit)
        elif isinstance(part, nn.MaxPool2d):
            parts[name] = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        else:
            parts[name] = _conv_like(part, limit)
    return nn.Sequential(parts)


def _block_like(block: ResidualUnit, limit: int) -> ArchBlock:
    """Returns the block with a join in the place of its sum."""
    is_plain = isinstance(block.shortcut, nn.Identity)
    return ArchBlock(
        [_conv_like(unit, limit) for unit in units_of(block)],
        shortcut=nn.Identity() if is_plain else _conv_like(block.shortcut, limit),
        join=ConcatConv(2, block.out_channels, has_relu=True, limit=limit),
    )


def _conv_like(part: nn.Module, limit: int) -> ConvNorm | WideConv:
    kernel, stride, _, has_relu = as_3x3(part)
    channels, given = kernel.shape[:2]
    return conv3x3(given, channels, stride=stride, has_relu=has_relu, limit=limit)
