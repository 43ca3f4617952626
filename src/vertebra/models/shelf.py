"""The models that have a name, and where each one's spec is; imports no torch until one is built.

`resnet50` and its like are what torchvision and timm call so (form B, the stride on the 3x3);
`resnet50a` and its like are the original ones (form A, the stride on the first 1x1).
`timm/NAME` is any model of the library timm, which is imported only to find one of these.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vertebra.errors import NameLookupError
from vertebra.lookup import suggest

if TYPE_CHECKING:
    from vertebra.contracts import Backbone


class BackboneSpec(Protocol):
    """What every model's spec can do."""

    def build(self, in_channels: int = 3) -> "Backbone":
        """Returns the network, freshly initialised from torch's current generator."""
        ...


class Family(NamedTuple):
    """Models of one paper; `module` holds their specs in its `NAMED`."""

    name: str
    module: str
    source: str


class Entry(NamedTuple):
    """A model on the shelf; `image_size` is the side in pixels of its published figures."""

    family: Family
    summary: str
    image_size: int = 224


_RESNET = Family("ResNet", "vertebra.models.resnet", "Deep Residual Learning (2015)")
_BAG = Family("ResNet-C/D", "vertebra.models.resnet", "Bag of Tricks (2019), section 4")
_SE = Family("SE-ResNet", "vertebra.models.resnet", "Squeeze-and-Excitation Networks (2018)")
_NEXT = Family("ResNeXt", "vertebra.models.resnet", "Aggregated Residual Transformations (2017)")
_SE_NEXT = Family("SE-ResNeXt", "vertebra.models.resnet", "Squeeze-and-Excitation Networks (2018)")
_NEST = Family("ResNeSt", "vertebra.models.resnest", "ResNeSt: Split-Attention Networks (2020)")
_SK = Family("SKNet", "vertebra.models.sknet", "Selective Kernel Networks (2019)")
_GN = Family("ResNet-GN", "vertebra.models.resnet", "Group Normalization (2018)")
_RS_GN = Family("ResNet-RS-GN", "vertebra.models.resnet_rs", "Group Normalization (2018)")
_BIT = Family("BiT", "vertebra.models.bit", "Big Transfer (2019)")
_RS = Family("ResNet-RS", "vertebra.models.resnet_rs", "Revisiting ResNets (2021)")
_CONVNEXT = Family("ConvNeXt", "vertebra.models.convnext", "A ConvNet for the 2020s (2022)")
_LADDER = Family(
    "ConvNeXt ladder", "vertebra.models.convnext_ladder", "A ConvNet for the 2020s (2022)"
)
_LEVIT = Family("LeViT", "vertebra.models.levit", "LeViT (2021)")
_CLIPS = "vertebra.models.resnet3d"
_SLOW = Family("Slow, I3D", _CLIPS, "SlowFast Networks (2019) and its code")
_RS_3D = Family("3D ResNet-RS", _CLIPS, "Revisiting 3D ResNets for Video Recognition (2021)")
_GHOST = Family("GhostNet", "vertebra.models.ghostnet", "GhostNet (2020)")
_GHOST_RESNET = Family("Ghost-ResNet", "vertebra.models.ghost_resnet", "GhostNet (2020), 4.2")
_HETERO = "GhostNets on Heterogeneous Devices (2022)"
_G_GHOST = Family("G-Ghost-RegNet", "vertebra.models.g_ghost_regnet", _HETERO)
_G_GHOST_RESNET = Family("G-Ghost-ResNet", "vertebra.models.g_ghost_resnet", _HETERO)

_TIMM = Family("timm", "vertebra.models.timm", "PyTorch Image Models (2019)")
NAMESPACE = "timm"
"""What stands before the slash in the names of timm's models."""

SHELF: Mapping[str, Entry] = {
    "resnet18": Entry(_RESNET, "18 layers of basic blocks"),
    "resnet34": Entry(_RESNET, "34 layers of basic blocks"),
    "resnet50": Entry(_RESNET, "50 layers of bottlenecks, form B"),
    "resnet101": Entry(_RESNET, "101 layers of bottlenecks, form B"),
    "resnet152": Entry(_RESNET, "152 layers of bottlenecks, form B"),
    "resnet50a": Entry(_RESNET, "50 layers, original form A"),
    "resnet101a": Entry(_RESNET, "101 layers, original form A"),
    "resnet152a": Entry(_RESNET, "152 layers, original form A"),
    "resnet50c": Entry(_BAG, "50 layers, C: deep stem"),
    "resnet101c": Entry(_BAG, "101 layers, C: deep stem"),
    "resnet152c": Entry(_BAG, "152 layers, C: deep stem"),
    "resnet18d": Entry(_BAG, "18 layers, D: deep stem, averaging shortcuts"),
    "resnet34d": Entry(_BAG, "34 layers, D: deep stem, averaging shortcuts"),
    "resnet50d": Entry(_BAG, "50 layers, D: deep stem, averaging shortcuts"),
    "resnet101d": Entry(_BAG, "101 layers, D: deep stem, averaging shortcuts"),
    "resnet152d": Entry(_BAG, "152 layers, D: deep stem, averaging shortcuts"),
    "resnet50_gn": Entry(_GN, "50 layers, form B, 32 groups to a norm"),
    "resnet50_gn_ws": Entry(_GN, "as resnet50_gn, standardised filters"),
    "seresnet18": Entry(_SE, "18 layers with channel gates"),
    "seresnet34": Entry(_SE, "34 layers with channel gates"),
    "seresnet50": Entry(_SE, "50 layers, form B with channel gates"),
    "seresnet101": Entry(_SE, "101 layers, form B with channel gates"),
    "seresnet152": Entry(_SE, "152 layers, form B with channel gates"),
    "resnext50_32x4d": Entry(_NEXT, "50 layers, 32 groups of 4 channels"),
    "resnext101_32x4d": Entry(_NEXT, "101 layers, 32 groups of 4 channels"),
    "resnext101_32x8d": Entry(_NEXT, "101 layers, 32 groups of 8 channels"),
    "resnext101_64x4d": Entry(_NEXT, "101 layers, 64 groups of 4 channels"),
    "seresnext50_32x4d": Entry(_SE_NEXT, "50 layers, 32 groups, channel gates"),
    "seresnext101_32x4d": Entry(_SE_NEXT, "101 layers, 32 groups, channel gates"),
    "sknet26": Entry(_SK, "26 layers, two kernels, 32 groups"),
    "sknet50": Entry(_SK, "50 layers, two kernels, 32 groups"),
    "sknet101": Entry(_SK, "101 layers, two kernels, 32 groups"),
    "resnest14": Entry(_NEST, "14 layers, 2 splits"),
    "resnest26": Entry(_NEST, "26 layers, 2 splits"),
    "resnest50": Entry(_NEST, "50 layers, 2 splits"),
    "resnest101": Entry(_NEST, "101 layers, 2 splits", 256),
    "resnest200": Entry(_NEST, "200 layers, 2 splits", 320),
    "resnest269": Entry(_NEST, "269 layers, 2 splits", 416),
    "resnest50_fast_1s1x64d": Entry(_NEST, "50 layers, fast: 1 split in 1 group"),
    "resnest50_fast_2s1x64d": Entry(_NEST, "50 layers, fast: 2 splits in 1 group"),
    "resnest50_fast_4s1x64d": Entry(_NEST, "50 layers, fast: 4 splits in 1 group"),
    "resnest50_fast_1s2x40d": Entry(_NEST, "50 layers, fast: 1 split in 2 groups"),
    "resnest50_fast_2s2x40d": Entry(_NEST, "50 layers, fast: 2 splits in 2 groups"),
    "resnest50_fast_4s2x40d": Entry(_NEST, "50 layers, fast: 4 splits in 2 groups"),
    "resnest50_fast_1s4x24d": Entry(_NEST, "50 layers, fast: 1 split in 4 groups"),
    "resnetv2_50x1_bit": Entry(_BIT, "50 layers, norms first"),
    "resnetv2_50x3_bit": Entry(_BIT, "50 layers, norms first, 3 times as wide"),
    "resnetv2_101x1_bit": Entry(_BIT, "101 layers, norms first"),
    "resnetv2_101x3_bit": Entry(_BIT, "101 layers, norms first, 3 times as wide"),
    "resnetv2_152x2_bit": Entry(_BIT, "152 layers, norms first, twice as wide"),
    "resnetv2_152x4_bit": Entry(_BIT, "152 layers, norms first, 4 times as wide"),
    "resnetrs26": Entry(_RS, "26 layers, of the scaling experiments", 160),
    "resnetrs50": Entry(_RS, "50 layers, form D with channel gates", 160),
    "resnetrs50_gn": Entry(_RS_GN, "as resnetrs50, 16 channels to a group", 160),
    "resnetrs101": Entry(_RS, "101 layers, form D with channel gates", 192),
    "resnetrs152": Entry(_RS, "152 layers, form D with channel gates", 256),
    "resnetrs200": Entry(_RS, "200 layers, stochastic depth", 256),
    "resnetrs270": Entry(_RS, "270 layers, stochastic depth", 256),
    "resnetrs350": Entry(_RS, "350 layers, stochastic depth", 256),
    "resnetrs420": Entry(_RS, "420 layers, stochastic depth", 320),
    "convnext_tiny": Entry(_CONVNEXT, "18 blocks, from 96 channels"),
    "convnext_small": Entry(_CONVNEXT, "36 blocks, from 96 channels"),
    "convnext_base": Entry(_CONVNEXT, "36 blocks, from 128 channels"),
    "convnext_large": Entry(_CONVNEXT, "36 blocks, from 192 channels"),
    "convnext_xlarge": Entry(_CONVNEXT, "36 blocks, from 256 channels"),
    "convnext_iso_small": Entry(_CONVNEXT, "18 blocks of 384 channels, one map"),
    "convnext_iso_base": Entry(_CONVNEXT, "18 blocks of 768 channels, one map"),
    "convnext_iso_large": Entry(_CONVNEXT, "36 blocks of 1024 channels, one map"),
    "convnext_ladder_t00_resnet": Entry(_LADDER, "a residual network"),
    "convnext_ladder_t01_ratio": Entry(_LADDER, "another share of the blocks in each stage"),
    "convnext_ladder_t02_patches": Entry(_LADDER, "patches of 4x4 as the stem"),
    "convnext_ladder_t03_depthwise": Entry(_LADDER, "depthwise convolutions"),
    "convnext_ladder_t04_width": Entry(_LADDER, "more channels"),
    "convnext_ladder_t05_inverted": Entry(_LADDER, "blocks wide inside and narrow outside"),
    "convnext_ladder_t06_moved_up": Entry(_LADDER, "the depthwise convolution comes first"),
    "convnext_ladder_t07_kernel5": Entry(_LADDER, "a kernel of 5x5"),
    "convnext_ladder_t08_kernel7": Entry(_LADDER, "a kernel of 7x7"),
    "convnext_ladder_t09_kernel9": Entry(_LADDER, "a kernel of 9x9"),
    "convnext_ladder_t10_kernel11": Entry(_LADDER, "a kernel of 11x11"),
    "convnext_ladder_t11_gelu": Entry(_LADDER, "GELU for ReLU"),
    "convnext_ladder_t12_one_act": Entry(_LADDER, "one activation in a block"),
    "convnext_ladder_t13_one_norm": Entry(_LADDER, "one norm in a block"),
    "convnext_ladder_t14_layer_norm": Entry(_LADDER, "layer norm for batch norm"),
    "convnext_ladder_t15_downsampling": Entry(_LADDER, "downsampling between the stages"),
    "convnext_ladder_b00_resnet": Entry(_LADDER, "a residual network"),
    "convnext_ladder_b01_ratio": Entry(_LADDER, "another share of the blocks in each stage"),
    "convnext_ladder_b02_patches": Entry(_LADDER, "patches of 4x4 as the stem"),
    "convnext_ladder_b03_depthwise": Entry(_LADDER, "depthwise convolutions"),
    "convnext_ladder_b04_width": Entry(_LADDER, "more channels"),
    "convnext_ladder_b05_inverted": Entry(_LADDER, "blocks wide inside and narrow outside"),
    "convnext_ladder_b06_moved_up": Entry(_LADDER, "the depthwise convolution comes first"),
    "convnext_ladder_b07_kernel5": Entry(_LADDER, "a kernel of 5x5"),
    "convnext_ladder_b08_kernel7": Entry(_LADDER, "a kernel of 7x7"),
    "convnext_ladder_b09_kernel9": Entry(_LADDER, "a kernel of 9x9"),
    "convnext_ladder_b10_kernel11": Entry(_LADDER, "a kernel of 11x11"),
    "convnext_ladder_b11_gelu": Entry(_LADDER, "GELU for ReLU"),
    "convnext_ladder_b12_one_act": Entry(_LADDER, "one activation in a block"),
    "convnext_ladder_b13_one_norm": Entry(_LADDER, "one norm in a block"),
    "convnext_ladder_b14_layer_norm": Entry(_LADDER, "layer norm for batch norm"),
    "convnext_ladder_b15_downsampling": Entry(_LADDER, "downsampling between the stages"),
    "levit_128s": Entry(_LEVIT, "9 blocks of attention, from 128 channels"),
    "levit_128": Entry(_LEVIT, "12 blocks of attention, from 128 channels"),
    "levit_192": Entry(_LEVIT, "12 blocks of attention, from 192 channels"),
    "levit_256": Entry(_LEVIT, "12 blocks of attention, from 256 channels"),
    "levit_384": Entry(_LEVIT, "12 blocks of attention, from 384 channels"),
    "c2d_resnet50": Entry(_SLOW, "clips frame by frame, 50 layers"),
    "slow_resnet50": Entry(_SLOW, "clips, kernels over time in the last two stages"),
    "slow_resnet101": Entry(_SLOW, "clips, kernels over time in the last two stages"),
    "i3d_resnet50": Entry(_SLOW, "clips, kernels over time in every other block"),
    "resnet3d50": Entry(_RS_3D, "clips, the baseline: 50 layers, a gate ends each stage"),
    "resnet3drs50": Entry(_RS_3D, "clips, 50 layers, channel gates"),
    "resnet3drs101": Entry(_RS_3D, "clips, 101 layers, channel gates"),
    "resnet3drs152": Entry(_RS_3D, "clips, 152 layers, channel gates"),
    "resnet3drs200": Entry(_RS_3D, "clips, 200 layers, channel gates"),
    "resnet3drs270": Entry(_RS_3D, "clips, 270 layers, channel gates"),
    "resnet3drs350": Entry(_RS_3D, "clips, 350 layers, channel gates"),
    "ghostnet_050": Entry(_GHOST, "half as wide"),
    "ghostnet_100": Entry(_GHOST, "16 bottlenecks of Ghost modules"),
    "ghostnet_110": Entry(_GHOST, "1.1 times as wide, of the detectors"),
    "ghostnet_130": Entry(_GHOST, "1.3 times as wide"),
    "ghost_resnet50_s2": Entry(_GHOST_RESNET, "50 layers, half of the channels derived"),
    "ghost_resnet50_s4": Entry(_GHOST_RESNET, "50 layers, three in four channels derived"),
    "g_ghost_regnet_0_2": Entry(_G_GHOST, "ghosts in RegNetX of 0.2 GMACs"),
    "g_ghost_regnet_0_4": Entry(_G_GHOST, "ghosts in RegNetX of 0.4 GMACs"),
    "g_ghost_regnet_0_6": Entry(_G_GHOST, "ghosts in RegNetX of 0.6 GMACs"),
    "g_ghost_regnet_0_8": Entry(_G_GHOST, "ghosts in RegNetX of 0.8 GMACs"),
    "g_ghost_regnet_1_6": Entry(_G_GHOST, "ghosts in RegNetX of 1.6 GMACs"),
    "g_ghost_regnet_3_2": Entry(_G_GHOST, "ghosts in RegNetX of 3.2 GMACs"),
    "g_ghost_regnet_4_0": Entry(_G_GHOST, "ghosts in RegNetX of 4.0 GMACs"),
    "g_ghost_regnet_6_4": Entry(_G_GHOST, "ghosts in RegNetX of 6.4 GMACs"),
    "g_ghost_regnet_8_0": Entry(_G_GHOST, "ghosts in RegNetX of 8.0 GMACs"),
    "g_ghost_regnet_12": Entry(_G_GHOST, "ghosts in RegNetX of 12 GMACs"),
    "g_ghost_regnet_16": Entry(_G_GHOST, "ghosts in RegNetX of 16 GMACs"),
    "g_ghost_regnet_32": Entry(_G_GHOST, "ghosts in RegNetX of 32 GMACs"),
    "g_ghost_resnet50": Entry(_G_GHOST_RESNET, "50 layers, ghosts in every stage"),
    "g_ghost_resnet101": Entry(_G_GHOST_RESNET, "101 layers, ghosts in every stage"),
}


def model_names() -> list[str]:
    """Returns the names on the shelf, in its order."""
    return list(SHELF)


def find_entry(name: str) -> Entry:
    """Returns what is known of a named model before it is built.

    Raises:
        NameLookupError: no such name; the message offers the nearest one.
        MissingExtra: the model is of timm, which is not installed.
    """
    namespace, _, theirs = name.partition("/")
    if theirs and namespace == NAMESPACE:
        from vertebra.models.timm_library import native_size

        return Entry(_TIMM, "of the library timm", native_size(theirs))
    if name in SHELF:
        return SHELF[name]
    near = suggest(name, SHELF)
    if near.startswith("choose"):  # ours are too many to list, and none is alike
        near = f"`vertebra models` lists ours, and one of timm is called {NAMESPACE}/{name}"
    raise NameLookupError(f"unknown model {name!r}; {near}")


def find_spec(name: str) -> BackboneSpec:
    """Returns the spec of a named model.

    Raises:
        NameLookupError: no such name; the message offers the nearest one.
        MissingExtra: the model is of timm, which is not installed.
    """
    family = find_entry(name).family
    module = import_module(family.module)
    return module.TimmSpec(name=name.partition("/")[2]) if family is _TIMM else module.NAMED[name]


def create_backbone(name: str, *, in_channels: int = 3) -> "Backbone":
    """Returns a named network, freshly initialised from torch's current generator.

    Raises:
        NameLookupError: no such name; the message offers the nearest one.
    """
    return find_spec(name).build(in_channels)


def nearest_name(spec: BackboneSpec) -> str:
    """Returns the name of a spec; of one that has none, the name that it differs least from."""
    from vertebra.models.timm import TimmSpec

    if isinstance(spec, TimmSpec):
        return f"{NAMESPACE}/{spec.name}"
    return min(SHELF, key=lambda name: len(_changes(find_spec(name), spec)))


def title(spec: BackboneSpec) -> str:
    """Returns the name of a spec; of one that has none, the nearest with what differs from it.

    As in "resnetrs50 with blocks=(2, 2, 2, 2), width=0.5", or "2 x resnet50" of an ensemble.
    """
    from vertebra.models.arch_net import ArchNetSpec
    from vertebra.models.divide import DividedSpec, divide
    from vertebra.models.ensemble import EnsembleSpec

    if isinstance(spec, ArchNetSpec):
        return f"Arch-Net of {title(spec.of)}, {spec.numbers}"
    if isinstance(spec, DividedSpec):
        return title(divide(spec.whole, spec.networks))
    if isinstance(spec, EnsembleSpec):
        return f"{spec.networks} x {title(spec.member)}"
    nearest = nearest_name(spec)
    changes = _changes(find_spec(nearest), spec)
    return f"{nearest} with {', '.join(changes)}" if changes else nearest


def _changes(named: BackboneSpec, spec: BackboneSpec) -> list[str]:
    """Returns "field=value" for each field of `spec` that differs; another class differs in all."""
    values = {"": type(spec).__name__, **vars(spec)}
    before = {"": type(named).__name__, **vars(named)}
    return [f"{key}={value}" for key, value in values.items() if before.get(key) != value]
