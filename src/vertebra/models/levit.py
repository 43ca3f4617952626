"""LeViT: convolutions, then three stages of attention on ever coarser grids of tokens.

Source: LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference (2021), section 4.
Differs: takes images of any size (see `vertebra.layers.offset_bias`).

images --stem--> [N, h, w, C] --> stage1 --halving--> stage2 --halving--> stage3 --mean--> vector
           1/16                     |                   |                   |
                                  maps[0]             maps[1]             maps[2]

N images have grids of h x w tokens; their C channels are the last axis, where linear maps are fast.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor, nn

from vertebra.contracts import Backbone, Encoding, MapSpec
from vertebra.errors import RecipeError
from vertebra.layers.conv_norm import ConvNorm
from vertebra.layers.linear_norm import LinearNorm
from vertebra.layers.norm_head import NormHead
from vertebra.layers.offset_attention import Attention, HalvingAttention, hardswish
from vertebra.layers.rounding import round_channels
from vertebra.layers.stochastic_depth import StochasticDepth
from vertebra.models.classifier import BackboneWithHead
from vertebra.models.levit_head import LeViTHead
from vertebra.models.ranges import require_count, require_factor, require_rate, scaled_depth

STRIDE = 16
"""Of the stem."""
MLP_RATIO = 2


class Block(nn.Module):
    """[N, h, w, C] -> [N, h, w, C]: attention and an MLP, each with its shortcut."""

    def __init__(self, attention: Attention, mlp: nn.Module, stochastic_depth: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.mlp = mlp
        self.stochastic_depth = stochastic_depth

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, h, w, C] -> [N, h, w, C]."""
        attended = self.stochastic_depth(self.attention(x))
        attended += x
        branch = self.stochastic_depth(self.mlp(attended))
        branch += attended
        return branch


class Halving(nn.Module):
    """[N, h, w, C] -> [N, ceil(h / 2), ceil(w / 2), channels]: only the MLP has a shortcut."""

    def __init__(
        self, attention: HalvingAttention, mlp: nn.Module, stochastic_depth: nn.Module
    ) -> None:
        super().__init__()
        self.attention = attention
        self.mlp = mlp
        self.stochastic_depth = stochastic_depth

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, h, w, C] -> [N, ceil(h / 2), ceil(w / 2), channels]."""
        halved = self.attention(x)
        branch = self.stochastic_depth(self.mlp(halved))
        branch += halved
        return branch


class LeViT(BackboneWithHead):
    """A stem of stride 16 and three stages; their maps are views of the grids of tokens.

    channels:  of each stage.
    distilled: the head has a second one, for a teacher.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        *,
        channels: Sequence[int],
        in_channels: int,
        distilled: bool,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.distilled = distilled
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.maps = tuple(
            MapSpec(f"stage{stage + 1}", each, STRIDE << stage)
            for stage, each in enumerate(channels)
        )
        self.width = channels[-1]

    def levels(self) -> tuple[nn.Module, ...]:
        """Returns the stem and the stages."""
        return (self.stem, *self.stages)

    def forward(self, images: Tensor) -> Encoding:
        """images: [N, in_channels, H, W] -> the map of each stage, and the last one's mean."""
        x = self.stem(images).permute(0, 2, 3, 1).contiguous()  # [N, h, w, C]
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x.permute(0, 3, 1, 2))
        return Encoding(tuple(maps), x.mean((1, 2)))

    def build_head(self, classes: int, *, dropout: float = 0.0) -> nn.Module:
        """Returns a fresh head: vector [N, width] -> logits [N, classes]."""
        kind = LeViTHead if self.distilled else NormHead
        return kind(self.width, classes, dropout=dropout)


@dataclass(frozen=True, kw_only=True)
class LeViTSpec:
    """A LeViT as a value.

    channels, heads, blocks: of each stage, before `width` and `depth` multiply them.
    key_width:               channels of a query and of a key, in each head.
    image_size:              side in pixels of the images whose tokens all have a bias of their own
                             for their distance; other sizes work too.
    width, depth:            multiply `channels` (rounded to multiples of 8) and `heads`, and
                             `blocks` (to whole ones, halves up, at least one).
    stochastic_depth:        rate of every residual branch, in [0, 1).
    distilled:               the head has a second one, which a teacher can teach; the logits are
                             the mean of both.
    """

    channels: tuple[int, int, int] = (128, 256, 384)
    heads: tuple[int, int, int] = (4, 6, 8)
    blocks: tuple[int, int, int] = (2, 3, 4)
    key_width: int = 16
    image_size: int = 224
    width: float = 1.0
    depth: float = 1.0
    stochastic_depth: float = 0.0
    distilled: bool = True

    def __post_init__(self) -> None:
        for name in ("channels", "heads", "blocks"):
            counts = getattr(self, name)
            if len(counts) != 3 or min(counts) < 1:
                raise RecipeError(f"{name}={counts}; give three whole numbers, each at least 1")
        require_count("key_width", self.key_width)
        require_count("image_size", self.image_size)
        require_factor("width", self.width)
        require_factor("depth", self.depth)
        require_rate("stochastic_depth", self.stochastic_depth)

    def build(self, in_channels: int = 3) -> Backbone:
        """Returns the network, freshly initialised from torch's current generator.

        Raises:
            RecipeError: `in_channels` is not positive.
        """
        require_count("in_channels", in_channels)
        channels = [round_channels(each * self.width) for each in self.channels]
        return LeViT(
            stem(in_channels, channels[0]),
            [self._stage(stage, channels) for stage in range(len(channels))],
            channels=channels,
            in_channels=in_channels,
            distilled=self.distilled,
        )

    def _stage(self, stage: int, channels: Sequence[int]) -> nn.Module:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if stage:
            halving = HalvingAttention(
                channels[stage - 1],
                channels[stage],
                key_width=self.key_width,
                side=self._side(stage - 1),
            )
            parts["halving"] = Halving(halving, mlp(channels[stage]), self._stochastic_depth())
        for block in range(scaled_depth(self.blocks[stage], self.depth)):
            parts[str(block)] = self._block(stage, channels)
        return nn.Sequential(parts)

    def _block(self, stage: int, channels: Sequence[int]) -> Block:
        attention = Attention(
            channels[stage],
            max(1, int(self.heads[stage] * self.width + 0.5)),
            key_width=self.key_width,
            side=self._side(stage),
        )
        return Block(attention, mlp(channels[stage]), self._stochastic_depth())

    def _side(self, stage: int) -> int:
        """Returns the side of the stage's grid of tokens for images of `image_size`."""
        return -(-self.image_size // (STRIDE << stage))

    def _stochastic_depth(self) -> nn.Module:
        rate = self.stochastic_depth
        return StochasticDepth(rate) if rate else nn.Identity()


def stem(in_channels: int, channels: int) -> nn.Module:
    """Returns four 3x3 convolutions that each halve the size: [N, channels, H / 16, W / 16]."""
    widths = (in_channels, channels // 8, channels // 4, channels // 2, channels)
    acts = (hardswish(), hardswish(), hardswish(), None)
    return nn.Sequential(
        *(
            ConvNorm(before, after, kernel=3, stride=2, act=act)
            for (before, after), act in zip(pairwise(widths), acts, strict=True)
        )
    )


def mlp(channels: int) -> nn.Module:
    """Returns the two linear maps of a residual branch that starts at zero."""
    inner = MLP_RATIO * channels
    return nn.Sequential(
        LinearNorm(channels, inner, act=hardswish()),
        LinearNorm(inner, channels, zero_init=True),
    )


_SMALL = LeViTSpec(channels=(128, 256, 384), heads=(4, 8, 12), blocks=(4, 4, 4), key_width=16)

NAMED: Mapping[str, LeViTSpec] = {
    "levit_128s": replace(_SMALL, heads=(4, 6, 8), blocks=(2, 3, 4)),
    "levit_128": _SMALL,
    "levit_192": replace(_SMALL, channels=(192, 288, 384), heads=(3, 5, 6), key_width=32),
    "levit_256": replace(_SMALL, channels=(256, 384, 512), heads=(4, 6, 8), key_width=32),
    "levit_384": replace(
        _SMALL,
        channels=(384, 512, 768),
        heads=(6, 9, 12),
        key_width=32,
        stochastic_depth=0.1,
    ),
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
