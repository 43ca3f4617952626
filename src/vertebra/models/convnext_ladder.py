"""The way from a ResNet to a ConvNeXt, one change at a time; each rung is a network to train.

Source: A ConvNet for the 2020s (2022), section 2, figure 2, and the detailed results in its
appendix: of ResNet-50 on the way to ConvNeXt-T, of ResNet-200 on the way to ConvNeXt-B.
Differs: see `models/convnext_rung.py` for what the paper leaves open. Of the layer-norm rung on the
way to ConvNeXt-T the paper prints 4.46 billion multiply-adds, which is what the next rung has; ours
has the 4.15 of the rung before, as norms count for nothing on the way to ConvNeXt-B either.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from vertebra.models.convnext_rung import ConvNeXtRungSpec


class Figures(NamedTuple):
    """What the paper prints of a rung.

    top1:     on ImageNet after the same 300 epochs for all, as a share.
    top1_std: over three seeds, as a share; None where the paper gives none.
    gmacs:    billions of multiply-adds for one image of 224 pixels.
    """

    top1: float
    top1_std: float | None
    gmacs: float


class Rung(NamedTuple):
    """A network on the way under its name on the shelf, and what was published of it."""

    name: str
    spec: ConvNeXtRungSpec
    published: Figures


class Step(NamedTuple):
    """One change, on the way to ConvNeXt-T and on the way to ConvNeXt-B.

    title:   what changes against the last kept step; of the first one, where the way begins.
    is_kept: whether the next step builds on this one.
    """

    title: str
    tiny: Rung
    base: Rung
    is_kept: bool


class Change(NamedTuple):
    """What a step does, in words and as the fields that it sets."""

    title: str
    fields: Mapping[str, object]


CHANGES: Mapping[str, Change] = {
    "resnet": Change("a residual network", {}),
    "ratio": Change("another share of the blocks in each stage", {"blocks": (3, 3, 9, 3)}),
    "patches": Change("patches of 4x4 as the stem", {"stem": "patches"}),
    "depthwise": Change("depthwise convolutions", {"is_depthwise": True}),
    "width": Change("more channels", {"channels": 96}),
    "inverted": Change("blocks wide inside and narrow outside", {"is_inverted": True}),
    "moved_up": Change("the depthwise convolution comes first", {"layout": "spatial_first"}),
    "kernel5": Change("a kernel of 5x5", {"kernel": 5}),
    "kernel7": Change("a kernel of 7x7", {"kernel": 7}),
    "kernel9": Change("a kernel of 9x9", {"kernel": 9}),
    "kernel11": Change("a kernel of 11x11", {"kernel": 11}),
    "gelu": Change("GELU for ReLU", {"activation": "gelu"}),
    "one_act": Change("one activation in a block", {"layout": "one_act"}),
    "one_norm": Change("one norm in a block", {"layout": "one_norm"}),
    "layer_norm": Change("layer norm for batch norm", {"norm": "layer"}),
    "downsampling": Change("downsampling between the stages", {"downsampling": "between"}),
}
"""The steps in their order; each but the first sets one field."""
BASE_FIELDS: Mapping[str, Mapping[str, object]] = {
    "resnet": {"blocks": (3, 24, 36, 3)},
    "ratio": {"blocks": (3, 3, 27, 3), "channels": 84},  # fewer blocks, so wider ones
    "width": {"channels": 128},
}
"""What a step sets on the way to ConvNeXt-B, where that differs."""
NOT_KEPT = ("kernel9", "kernel11")

PUBLISHED: Mapping[str, tuple[Figures, Figures]] = {
    "resnet": (Figures(0.7882, 0.0007, 4.09), Figures(0.8114, None, 15.01)),
    "ratio": (Figures(0.7936, 0.0007, 4.53), Figures(0.8133, None, 14.52)),
    "patches": (Figures(0.7951, 0.0018, 4.42), Figures(0.8159, None, 14.38)),
    "depthwise": (Figures(0.7828, 0.0008, 2.35), Figures(0.8054, None, 7.23)),
    "width": (Figures(0.8050, 0.0002, 5.27), Figures(0.8185, None, 16.76)),
    "inverted": (Figures(0.8064, 0.0003, 4.64), Figures(0.8264, None, 15.68)),
    "moved_up": (Figures(0.7992, 0.0008, 4.07), Figures(0.8204, None, 14.63)),
    "kernel5": (Figures(0.8035, 0.0008, 4.10), Figures(0.8232, None, 14.70)),
    "kernel7": (Figures(0.8057, 0.0014, 4.15), Figures(0.8230, None, 14.81)),
    "kernel9": (Figures(0.8057, None, 4.21), Figures(0.8227, None, 14.95)),
    "kernel11": (Figures(0.8047, None, 4.29), Figures(0.8218, None, 15.13)),
    "gelu": (Figures(0.8062, 0.0014, 4.15), Figures(0.8219, None, 14.81)),
    "one_act": (Figures(0.8127, 0.0006, 4.15), Figures(0.8271, None, 14.81)),
    "one_norm": (Figures(0.8141, 0.0009, 4.15), Figures(0.8317, None, 14.81)),
    "layer_norm": (Figures(0.8147, 0.0009, 4.46), Figures(0.8335, None, 14.81)),
    "downsampling": (Figures(0.8197, 0.0006, 4.49), Figures(0.8360, None, 15.35)),
}
"""The figures on the way to ConvNeXt-T, and on the way to ConvNeXt-B."""


def _climb() -> tuple[Step, ...]:
    steps: list[Step] = []
    tiny = base = ConvNeXtRungSpec()
    for place, (name, change) in enumerate(CHANGES.items()):
        next_tiny = replace(tiny, **change.fields)
        next_base = replace(base, **BASE_FIELDS.get(name, change.fields))
        of_tiny, of_base = PUBLISHED[name]
        steps.append(
            Step(
                change.title,
                Rung(f"convnext_ladder_t{place:02}_{name}", next_tiny, of_tiny),
                Rung(f"convnext_ladder_b{place:02}_{name}", next_base, of_base),
                is_kept=name not in NOT_KEPT,
            )
        )
        if steps[-1].is_kept:
            tiny, base = next_tiny, next_base
    return tuple(steps)


LADDER: tuple[Step, ...] = _climb()
"""The way, from its foot."""

NAMED: Mapping[str, ConvNeXtRungSpec] = {
    rung.name: rung.spec for step in LADDER for rung in (step.tiny, step.base)
}
"""The networks that have a name; `vertebra.models.shelf` finds them."""
