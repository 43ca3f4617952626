"""Selective kernel networks: SK[2, 32, 16] on the skeleton of ResNeXt 32x4d.

Source: Selective Kernel Networks (2019), section 3.2 and table 1.

Most networks that timm calls skresnet are others: their branches share the input's channels out.
"""

from collections.abc import Mapping
from dataclasses import replace

from vertebra.layers.selective_kernel import SelectiveKernelSpec
from vertebra.models.resnet import ResNetSpec

_50 = ResNetSpec(blocks=(3, 4, 6, 3), groups=32, group_width=4, spatial=SelectiveKernelSpec())

NAMED: Mapping[str, ResNetSpec] = {
    "sknet26": replace(_50, blocks=(2, 2, 2, 2)),
    "sknet50": _50,
    "sknet101": replace(_50, blocks=(3, 4, 23, 3)),
}
"""The published family; `vertebra.models.shelf` finds them."""

TIMM_NAMES: Mapping[str, str] = {"sknet50": "skresnext50_32x4d"}
"""Our name -> timm's of the same network, for those that timm has."""
