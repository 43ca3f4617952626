"""The ResNeSt family: its depths, and the settings and figures published for each network.

Source: ResNeSt: Split-Attention Networks (2020), section 3, table 1 and the released code.
Differs: of DropBlock's three places in a block ours has the one inside split attention, see
`models/resnet.py` for its sizes; the rate does not ramp up.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vertebra.layers.split_attention import SplitAttentionSpec
from vertebra.models.ranges import layout_of
from vertebra.models.resnet import ResNetSpec

BLOCKS: Mapping[int, tuple[int, int, int, int]] = {
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
"""Depth -> blocks per stage."""
WIDE_STEM_FROM = 101
"""Depth from which on the stem is twice as wide."""


class Row(NamedTuple):
    """One published network: how it was regularised, what it costs and what it reached on ImageNet.

    image_size: side in pixels, in evaluation.
    dropout:    on the pooled vector.
    drop_block: rate in the last two stages that training ramped up to, with squares of 3.
    parameters: with 1000 classes.
    gmacs:      billions of multiply-adds for one image of that size.
    top1:       of the authors' Gluon code, as a share.
    """

    name: str
    image_size: int
    dropout: float
    drop_block: float
    parameters: int
    gmacs: float
    top1: float


ROWS: tuple[Row, ...] = (
    Row("resnest14", 224, 0.0, 0.0, 10_611_688, 2.75, 0.7575),
    Row("resnest26", 224, 0.0, 0.1, 17_069_448, 3.62, 0.7868),
    Row("resnest50", 224, 0.0, 0.1, 27_483_240, 5.37, 0.8104),
    Row("resnest101", 256, 0.0, 0.1, 48_275_016, 13.32, 0.8281),
    Row("resnest200", 320, 0.2, 0.1, 70_201_544, 35.52, 0.8388),
    Row("resnest269", 416, 0.2, 0.1, 110_929_480, 77.35, 0.8453),
    Row("resnest50_fast_1s1x64d", 224, 0.0, 0.1, 26_217_896, 4.329, 0.8035),
    Row("resnest50_fast_2s1x64d", 224, 0.0, 0.1, 27_483_240, 4.331, 0.8065),
    Row("resnest50_fast_4s1x64d", 224, 0.0, 0.1, 31_912_712, 4.335, 0.8090),
    Row("resnest50_fast_1s2x40d", 224, 0.0, 0.1, 25_946_680, 4.365, 0.8072),
    Row("resnest50_fast_2s2x40d", 224, 0.0, 0.1, 26_943_792, 4.366, 0.8084),
    Row("resnest50_fast_4s2x40d", 224, 0.0, 0.1, 30_417_592, 4.369, 0.8117),
    Row("resnest50_fast_1s4x24d", 224, 0.0, 0.1, 25_677_000, 4.400, 0.8097),
)
"""The published family; costs are counted from the layers."""


def resnest(
    depth: int,
    *,
    radix: int = 2,
    cardinality: int = 1,
    group_width: int = 64,
    pool_first: bool = False,
) -> ResNetSpec:
    """Returns ResNeSt: form D with split attention, "RsKxDd" in the paper's notation.

    cardinality: number of groups (K), each of `group_width` (D) channels in the first stage.
    pool_first:  average before the convolution, not after it: the "fast" networks.

    Raises:
        RecipeError: `depth` has no published layout.
    """
    return ResNetSpec(
        blocks=layout_of(depth, BLOCKS),
        form="D",
        stem_channels=128 if depth >= WIDE_STEM_FROM else 64,
        groups=cardinality,
        group_width=group_width,
        spatial=SplitAttentionSpec(radix=radix, pool_first=pool_first),
    )


def _fast(radix: int, cardinality: int, group_width: int) -> ResNetSpec:
    return resnest(
        50, radix=radix, cardinality=cardinality, group_width=group_width, pool_first=True
    )


NAMED: Mapping[str, ResNetSpec] = {
    "resnest14": resnest(14),
    "resnest26": resnest(26),
    "resnest50": resnest(50),
    "resnest101": resnest(101),
    "resnest200": resnest(200),
    "resnest269": resnest(269),
    "resnest50_fast_1s1x64d": _fast(1, 1, 64),
    "resnest50_fast_2s1x64d": _fast(2, 1, 64),
    "resnest50_fast_4s1x64d": _fast(4, 1, 64),
    "resnest50_fast_1s2x40d": _fast(1, 2, 40),
    "resnest50_fast_2s2x40d": _fast(2, 2, 40),
    "resnest50_fast_4s2x40d": _fast(4, 2, 40),
    "resnest50_fast_1s4x24d": _fast(1, 4, 24),
}
"""The published family; `vertebra.models.shelf` finds them."""

TIMM_NAMES: Mapping[str, str] = {
    "resnest14": "resnest14d",
    "resnest26": "resnest26d",
    "resnest50": "resnest50d",
    "resnest101": "resnest101e",
    "resnest200": "resnest200e",
    "resnest269": "resnest269e",
    "resnest50_fast_4s2x40d": "resnest50d_4s2x40d",
    "resnest50_fast_1s4x24d": "resnest50d_1s4x24d",
}
"""Our name -> timm's of the same network, for those that timm has."""
