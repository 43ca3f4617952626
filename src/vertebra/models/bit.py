"""BiT: wide residual networks with norms before convolutions, of groups, and standardised filters.

Source: Big Transfer (BiT): General Visual Representation Learning (2019), section 3.2, with the
released networks; Identity Mappings in Deep Residual Networks (2016), figure 4e (the block).
Differs: the classifier starts as that of every model here does; the paper starts it at zero.

x --norm, ReLU--+--1x1--norm, ReLU--3x3/s--norm, ReLU--1x1--(+)--
                |                                            |
                +-- 1x1/s where the shape changes, else x ---+
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from vertebra.contracts import Backbone, Encoding
from vertebra.layers.norm import GroupNormSpec
from vertebra.layers.rounding import round_channels
from vertebra.layers.standardised_conv import StandardisedConv2d
from vertebra.models.names import Names
from vertebra.models.ranges import require_count, require_factor, require_stages, scaled_depth
from vertebra.models.residual_blocks import relu
from vertebra.models.shell import Place, ResidualBlock, ResidualNet, Stem, initialise

STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
NORM = GroupNormSpec(groups=32)


class PreactivationBottleneck(ResidualBlock):
    """A bottleneck whose norms and activations stand before its convolutions, none after the sum.

    Where the shape changes the shortcut is a convolution of what the first norm gives, elsewhere
    the block's very input.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        inner, self.out_channels = place.channels, place.channels * EXPANSION
        self.norm = NORM.build(place.in_channels)
        self.act = relu()
        self.reduce = conv(place.in_channels, inner)
        self.spatial = norm_conv(inner, inner, kernel=3, stride=place.stride)
        self.expand = norm_conv(inner, self.out_channels)
        changes = place.stride > 1 or place.in_channels != self.out_channels
        self.shortcut = (
            conv(place.in_channels, self.out_channels, stride=place.stride) if changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        active = self.act(self.norm(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        return self.expand(self.spatial(self.reduce(active))) + shortcut

    def last_norm(self) -> nn.Module:
        """Returns the norm before the last convolution."""
        return self.expand.get_submodule("norm")


class BiT(Backbone):
    """A residual network whose last map is not normalised yet: a norm stands before the mean.

    body: gives the maps.
    """

    def __init__(self, body: ResidualNet) -> None:
        super().__init__()
        self.maps, self.width, self.in_channels = body.maps, body.width, body.in_channels
        self.body = body
        self.norm = NORM.build(body.width)
        self.act = relu()

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the stem, the stages and the last norm."""
        return (*self.body.levels(), self.norm)

    def forward(self, images: Tensor) -> Encoding:
        """images: [N, in_channels, H, W] -> the map of each stage, and the last one's mean after
        norm and activation."""
        maps = self.body(images).maps
        return Encoding(maps, self.act(self.norm(maps[-1])).mean((2, 3)))


@dataclass(frozen=True, kw_only=True)
class BiTSpec:
    """A BiT network as a value.

    blocks:       number of blocks in each stage, before `depth` multiplies it.
    width, depth: multiply all channels (the paper's x1 to x4; rounded to multiples of 8) and
                  `blocks` (to whole ones, halves up, at least one).
    """

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: float = 1.0
    depth: float = 1.0

    def __post_init__(self) -> None:
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_stages("blocks", self.blocks)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        channels = [round_channels(each * self.width) for each in STAGE_CHANNELS]
        body = ResidualNet(
            stem(in_channels, channels[0]),
            PreactivationBottleneck,
            blocks=[scaled_depth(count, self.depth) for count in self.blocks],
            channels=channels,
            in_channels=in_channels,
        )
        net = BiT(body)
        # no branch starts at zero: nothing after its last norm could learn through the ReLU
        initialise(net, zero_init_last=False)
        return net


def stem(in_channels: int, channels: int) -> Stem:
    """Returns a 7x7/2 convolution and a 3x3/2 max pool, without norm and activation.

    The pool sees zeros around the map, which are larger than the negative values inside; the usual
    pool's own padding would never be the largest.
    """
    parts = {
        "conv": conv(in_channels, channels, kernel=7, stride=2),
        "pad": nn.ConstantPad2d(1, 0.0),
        "pool": nn.MaxPool2d(3, stride=2),
    }
    return Stem(parts, channels=channels, stride=4)


def norm_conv(in_channels: int, channels: int, *, kernel: int = 1, stride: int = 1) -> nn.Module:
    """Returns a norm, an activation and a convolution, in this order."""
    last = conv(in_channels, channels, kernel=kernel, stride=stride)
    return nn.Sequential(OrderedDict(norm=NORM.build(in_channels), act=relu(), conv=last))


def conv(in_channels: int, channels: int, *, kernel: int = 1, stride: int = 1) -> nn.Module:
    """Returns a convolution of standardised filters, padded to divide the size by its stride."""
    return StandardisedConv2d(
        in_channels, channels, kernel, stride=stride, padding=kernel // 2, bias=False
    )


NAMED: Mapping[str, BiTSpec] = {
    "resnetv2_50x1_bit": BiTSpec(blocks=(3, 4, 6, 3), width=1.0),
    "resnetv2_50x3_bit": BiTSpec(blocks=(3, 4, 6, 3), width=3.0),
    "resnetv2_101x1_bit": BiTSpec(blocks=(3, 4, 23, 3), width=1.0),
    "resnetv2_101x3_bit": BiTSpec(blocks=(3, 4, 23, 3), width=3.0),
    "resnetv2_152x2_bit": BiTSpec(blocks=(3, 8, 36, 3), width=2.0),
    "resnetv2_152x4_bit": BiTSpec(blocks=(3, 8, 36, 3), width=4.0),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""

TIMM = Names(
    "timm",
    (
        (r"^body\.", ""),
        (r"^(stages\.\d+)\.", r"\1.blocks."),
        (r"(\.\d+)\.norm\.", r"\1.norm1."),
        (r"\.reduce\.", ".conv1."),
        (r"\.spatial\.norm\.", ".norm2."),
        (r"\.spatial\.conv\.", ".conv2."),
        (r"\.expand\.norm\.", ".norm3."),
        (r"\.expand\.conv\.", ".conv3."),
        (r"\.shortcut\.", ".downsample.conv."),
    ),
    heads=("head",),
)
"""What timm calls the parts; its classifier is a 1x1 convolution."""
