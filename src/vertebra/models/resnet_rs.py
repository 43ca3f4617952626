"""The ResNet-RS family: its depths, and the settings and figures published for each of its rows.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), section 4.1 and
the table of models released with its code.
Differs: as in the released code and weights, the stem's max pool becomes a 3x3/2 convolution,
where the text moves its stride into the next block.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from vertebra.layers.norm import GroupNormSpec
from vertebra.models.ranges import layout_of
from vertebra.models.resnet import ResNetSpec

BLOCKS: Mapping[int, tuple[int, int, int, int]] = {
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    300: (4, 36, 54, 4),
    350: (4, 36, 72, 4),
    400: (6, 48, 72, 6),
    420: (4, 44, 87, 4),
}
"""Depth -> blocks per stage; beyond 200 mainly the two middle stages grow."""


class Row(NamedTuple):
    """One published network: how it was regularised, what it costs and what it reached on ImageNet.

    image_size:       side in pixels, in training and evaluation.
    dropout:          on the pooled vector.
    stochastic_depth: the rate before the "stage" rule shares it out.
    magnitude:        of RandAugment with two operations.
    parameters:       with 1000 classes.
    gmacs:            billions of multiply-adds for one image (the paper counts each as two).
    top1:             of the averaged weights, as a share.
    """

    depth: int
    image_size: int
    dropout: float
    stochastic_depth: float
    magnitude: int
    parameters: int
    gmacs: float
    top1: float


ROWS: tuple[Row, ...] = (
    Row(50, 160, 0.25, 0.0, 10, 35_691_912, 2.279, 0.788),
    Row(101, 160, 0.25, 0.0, 10, 63_618_696, 4.182, 0.803),
    Row(101, 192, 0.25, 0.0, 15, 63_618_696, 6.012, 0.812),
    Row(152, 192, 0.25, 0.0, 15, 86_621_576, 8.747, 0.820),
    Row(152, 224, 0.25, 0.0, 15, 86_621_576, 11.895, 0.822),
    Row(152, 256, 0.25, 0.0, 15, 86_621_576, 15.528, 0.830),
    Row(200, 256, 0.25, 0.1, 15, 93_209_992, 20.093, 0.834),
    Row(270, 256, 0.25, 0.1, 15, 129_861_448, 26.950, 0.838),
    Row(350, 256, 0.25, 0.1, 15, 163_956_168, 34.377, 0.840),
    Row(350, 320, 0.40, 0.1, 15, 163_956_168, 53.684, 0.842),
    Row(420, 320, 0.40, 0.1, 15, 191_891_656, 63.942, 0.844),
)
"""The published family, small to large; costs are counted from the layers."""


def resnet_rs(depth: int, *, stochastic_depth: float = 0.0) -> ResNetSpec:
    """Returns ResNet-RS: form D, a convolution as the stem's pool, gates of a quarter.

    Raises:
        RecipeError: `depth` has no published layout.
    """
    return ResNetSpec(
        blocks=layout_of(depth, BLOCKS),
        form="D",
        stem_pool="conv",
        squeeze=0.25,
        stochastic_depth=stochastic_depth,
        stochastic_depth_rule="stage",
    )


NAMED: Mapping[str, ResNetSpec] = {
    "resnetrs26": resnet_rs(26),
    "resnetrs50": resnet_rs(50),
    "resnetrs50_gn": replace(resnet_rs(50), norm=GroupNormSpec(channels_per_group=16)),
    "resnetrs101": resnet_rs(101),
    "resnetrs152": resnet_rs(152),
    "resnetrs200": resnet_rs(200, stochastic_depth=0.1),
    "resnetrs270": resnet_rs(270, stochastic_depth=0.1),
    "resnetrs350": resnet_rs(350, stochastic_depth=0.1),
    "resnetrs420": resnet_rs(420, stochastic_depth=0.1),
}
"""The published family with each row's rate, and one with group norms, which is ours;
`vertebra.models.shelf` finds them."""
