"""The models that have a name, and where each one's spec is; imports no torch until one is built.

`resnet50` and its like are what torchvision and timm call so (form B, the stride on the 3x3);
`resnet50a` and its like are the original ones (form A, the stride on the first 1x1).
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vertebra.lookup import find

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
_RS = Family("ResNet-RS", "vertebra.models.resnet_rs", "Revisiting ResNets (2021)")

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
    "resnetrs26": Entry(_RS, "26 layers, of the scaling experiments", 160),
    "resnetrs50": Entry(_RS, "50 layers, form D with channel gates", 160),
    "resnetrs101": Entry(_RS, "101 layers, form D with channel gates", 192),
    "resnetrs152": Entry(_RS, "152 layers, form D with channel gates", 256),
    "resnetrs200": Entry(_RS, "200 layers, stochastic depth", 256),
    "resnetrs270": Entry(_RS, "270 layers, stochastic depth", 256),
    "resnetrs350": Entry(_RS, "350 layers, stochastic depth", 256),
    "resnetrs420": Entry(_RS, "420 layers, stochastic depth", 320),
}


def model_names() -> list[str]:
    """Returns the names on the shelf, in its order."""
    return list(SHELF)


def find_spec(name: str) -> BackboneSpec:
    """Returns the spec of a named model.

    Raises:
        NameLookupError: no such name; the message offers the nearest one.
    """
    module = import_module(find(SHELF, name, kind="model").family.module)
    return module.NAMED[name]


def create_backbone(name: str, *, in_channels: int = 3) -> "Backbone":
    """Returns a named network, freshly initialised from torch's current generator.

    Raises:
        NameLookupError: no such name; the message offers the nearest one.
    """
    return find_spec(name).build(in_channels)


def title(spec: BackboneSpec) -> str:
    """Returns the name of a spec; of one that has none, the nearest with what differs from it.

    As in "resnetrs50 with blocks=(2, 2, 2, 2), width=0.5".
    """
    changes = {name: _changes(find_spec(name), spec) for name in SHELF}
    nearest = min(changes, key=lambda name: len(changes[name]))
    if not changes[nearest]:
        return nearest
    return f"{nearest} with {', '.join(changes[nearest])}"


def _changes(named: BackboneSpec, spec: BackboneSpec) -> list[str]:
    """Returns "field=value" for each field of `spec` that differs; another class differs in all."""
    values = {"": type(spec).__name__, **vars(spec)}
    before = {"": type(named).__name__, **vars(named)}
    return [f"{key}={value}" for key, value in values.items() if before.get(key) != value]
