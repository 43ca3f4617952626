"""One network of the way from a ResNet to a ConvNeXt: every choice that the way changes, a field.

Source: A ConvNet for the 2020s (2022), sections 2.2 to 2.6; `models/convnext_ladder.py` is the way.
Differs: the paper leaves open what becomes of what stands around a block. Here the stem and the
shortcuts keep norm and activation for as long as a block ends in them; a convolution has a bias
unless a batch norm follows; when the branch's last norm goes, its scale stays, as layer scale; and
networks with batch norms start as residual networks do, those with layer norms as ConvNeXt does.
Differs: zeros fill the last patches of odd sides, see `models/convnext.py`.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from torch import nn

from vertebra.contracts import Backbone
from vertebra.errors import RecipeError
from vertebra.layers.channel_norm import ChannelNorm
from vertebra.layers.patch_conv import PatchConv
from vertebra.layers.rounding import round_channels
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models import convnext, shell
from vertebra.models.convnext import EXPANSION, Downsample
from vertebra.models.convnext_rung_parts import (
    LAYOUTS,
    LayerScale,
    Layout,
    NormedConv,
    NormedResidualNet,
    RungBlock,
)
from vertebra.models.ranges import (
    require_count,
    require_factor,
    require_one_of,
    require_rate,
    require_stages,
    scaled_depth,
)
from vertebra.models.shell import Place, ResidualBlock, ResidualNet, Stem

StemKind = Literal["resnet", "patches"]
Activation = Literal["relu", "gelu"]
Norm = Literal["batch", "layer"]
Downsampling = Literal["in_block", "between"]


@dataclass(frozen=True, kw_only=True)
class ConvNeXtRungSpec:
    """A rung as a value; the defaults are those of a ResNet-50.

    blocks:           of each stage, before `depth` multiplies them.
    channels:         the narrower width of the first stage's blocks, and the stem's; doubles with
                      each stage.
    stem:             a 7x7/2 convolution and a max pool, or patches of 4x4.
    is_depthwise:     whether the spatial convolution treats each channel by itself.
    is_inverted:      whether blocks are four times as wide inside as outside, or the reverse.
    layout:           order of what a block does, see `LAYOUTS`.
    kernel:           odd side of the spatial convolution.
    downsampling:     by a stage's first block, whose spatial convolution and shortcut have stride
                      2, or between the stages, as in ConvNeXt, with layer norms there, after the
                      stem and before the vector.
    width, depth:     multiply the channels (rounded to multiples of 4) and `blocks` (to whole ones,
                      halves up, at least one).
    stochastic_depth: rate of the last block, in [0, 1); grows from 0 at the first one.
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    channels: int = 64
    stem: StemKind = "resnet"
    is_depthwise: bool = False
    is_inverted: bool = False
    layout: Layout = "resnet"
    kernel: int = 3
    activation: Activation = "relu"
    norm: Norm = "batch"
    downsampling: Downsampling = "in_block"
    width: float = 1.0
    depth: float = 1.0
    stochastic_depth: float = 0.0

    def __post_init__(self) -> None:
        require_one_of("stem", self.stem, get_args(StemKind))
        require_one_of("layout", self.layout, get_args(Layout))
        require_one_of("activation", self.activation, get_args(Activation))
        require_one_of("norm", self.norm, get_args(Norm))
        require_one_of("downsampling", self.downsampling, get_args(Downsampling))
        require_count("channels", self.channels)
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_rate("stochastic_depth", self.stochastic_depth)
        require_stages("blocks", self.blocks)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise RecipeError(f"kernel={self.kernel}; give an odd side, such as 7")
        if self.downsampling == "between" and self.norm != "layer":
            raise RecipeError(
                f"downsampling='between' with norm={self.norm!r}; its norms are layer norms: "
                "give norm='layer'"
            )

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        make = ResidualNet if self.downsampling == "in_block" else NormedResidualNet
        channels = [round_channels(self.channels * self.width * 2**n, 4) for n in range(4)]
        net = make(
            self._stem(in_channels, channels[0]),
            self._block,
            blocks=[scaled_depth(count, self.depth) for count in self.blocks],
            channels=channels,
            in_channels=in_channels,
        )
        if self.norm == "layer":
            convnext.initialise(net)
        else:
            shell.initialise(net, zero_init_last=self._ends_in_norm)
        return net

    @property
    def _ends_in_norm(self) -> bool:
        layout = LAYOUTS[self.layout]
        return layout[layout.index("add") - 1] == "norm"

    @property
    def _ends_in_act(self) -> bool:
        return LAYOUTS[self.layout][-1] == "act"

    def _stem(self, in_channels: int, channels: int) -> Stem:
        is_normed = self._ends_in_norm or self.downsampling == "between"
        parts = OrderedDict[str, nn.Module]()
        if self.stem == "patches":
            conv = PatchConv(in_channels, channels, 4)
        else:
            conv = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3)
        parts["whole"] = self._normed(conv) if is_normed else conv
        if self._ends_in_act:
            parts["act"] = self._act()
        if self.stem == "resnet":
            parts["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
        return Stem(parts, channels=channels, stride=4)

    def _block(self, place: Place) -> ResidualBlock:
        given, stride = place.in_channels, place.stride
        wide = EXPANSION * place.channels
        inner, outer = (wide, place.channels) if self.is_inverted else (place.channels, wide)
        before: nn.Module = nn.Identity()
        if stride > 1 and self.downsampling == "between":
            before = Downsample(given, outer)
            given, stride = outer, 1
        shortcut: nn.Module = nn.Identity()
        if stride > 1 or given != outer:
            shortcut = self._conv(given, outer, stride=stride, is_normed=self._ends_in_norm)
        rate = self.stochastic_depth * place.fraction
        return RungBlock(
            self._branch(given, inner, outer, stride=stride),
            shortcut,
            before=before,
            stochastic_depth=StochasticDepth(rate) if rate else nn.Identity(),
            act=self._act() if self._ends_in_act else nn.Identity(),
            out_channels=outer,
        )

    def _branch(self, given: int, inner: int, outer: int, *, stride: int) -> nn.Sequential:
        parts = OrderedDict[str, nn.Module]()
        layout = LAYOUTS[self.layout]
        for part, following in pairwise(layout[: layout.index("add") + 1]):
            is_normed = following == "norm"
            if part == "enter":
                parts[part] = self._conv(given, inner, is_normed=is_normed)
                given = inner
            elif part == "spatial":
                parts[part] = self._spatial(given, stride=stride, is_normed=is_normed)
            elif part == "leave":
                parts[part] = self._conv(given, outer, is_normed=is_normed)
            elif part == "act":
                parts[f"act{len(parts)}"] = self._act()
        if not self._ends_in_norm:
            parts["scale"] = LayerScale(outer)
        return nn.Sequential(parts)

    def _spatial(self, channels: int, *, stride: int, is_normed: bool) -> nn.Module:
        groups = channels if self.is_depthwise else 1
        conv = nn.Conv2d(
            channels, channels, self.kernel, stride=stride, padding=self.kernel // 2, groups=groups
        )
        return self._normed(conv) if is_normed else conv

    def _conv(
        self, in_channels: int, channels: int, *, stride: int = 1, is_normed: bool
    ) -> nn.Module:
        conv = nn.Conv2d(in_channels, channels, 1, stride=stride)
        return self._normed(conv) if is_normed else conv

    def _normed(self, conv: nn.Conv2d) -> nn.Module:
        make = nn.BatchNorm2d if self.norm == "batch" else ChannelNorm
        return NormedConv(conv, make(conv.out_channels))

    def _act(self) -> nn.Module:
        return nn.ReLU(inplace=True) if self.activation == "relu" else nn.GELU()
