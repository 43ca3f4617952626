"""BYOL: pretraining without labels, as published for ImageNet, and made small for a folder.

Source: Bootstrap Your Own Latent (2020), section 3.3 and appendix B, and the settings of its
released code for each length; for the small one those that solo-learn (2022) found for CIFAR.
Differs: brightness is multiplied, where the released code adds to it. In the small one length and
width of the projector are ours, for a laptop; solo-learn trains for 1000 epochs at width 4096, at a
LARS whose ratio it cuts off.
"""

from dataclasses import replace
from typing import NamedTuple

from vertebra.data.augment import Augment, Solarize
from vertebra.data.blur import Blur
from vertebra.data.crops import Crop, RandomResizedCrop
from vertebra.data.jitter import ColorJitter
from vertebra.engine.optimizers import LARS, scale_lr
from vertebra.errors import RecipeError
from vertebra.methods.byol import BYOLSpec
from vertebra.recipes.recipe import Expectation, Recipe
from vertebra.recipes.two_views import LARGE_BATCH, Way, made_small, on_imagenet


class Row(NamedTuple):
    """What the authors set for a length in epochs, and what a linear probe then got on ImageNet."""

    epochs: int
    lr_per_256: float
    weight_decay: float
    tau: float
    figure: str


PROBED = "top-1 of a linear probe, ImageNet at 224 px"

ROWS = (
    Row(40, 0.45, 1e-6, 0.97, "none found"),
    Row(100, 0.45, 1e-6, 0.99, f"66.5% {PROBED} (published); 69.3% as VICReg's authors ran it"),
    Row(300, 0.3, 1e-6, 0.99, f"72.5% {PROBED} (published; not looked up again)"),
    Row(1000, 0.2, 1.5e-6, 0.996, f"74.3% {PROBED} (published)"),
)

SMALL = BYOLSpec(hidden=1024, projection=256, tau=0.99)
SMALL_LARS = LARS(lr=1.0, weight_decay=1e-5, trust=0.02)


def byol(length: int = 1000) -> Recipe:
    """Returns ResNet-50 at 224 px, batch 4096, for one of the published lengths in epochs.

    Raises:
        RecipeError: nothing was published for that length.
    """
    if length not in {row.epochs for row in ROWS}:
        known = ", ".join(str(row.epochs) for row in ROWS)
        raise RecipeError(f"BYOL has no settings for {length} epochs; choose one of {known}")
    row = row_for(length)
    is_longest = row is ROWS[-1]
    way = Way(BYOLSpec(tau=row.tau), lars_for(row, LARGE_BATCH), *versions(RandomResizedCrop()))
    return on_imagenet(
        "byol" if is_longest else f"byol-{length}",
        way,
        length=length,
        source="Bootstrap Your Own Latent (2020), section 3.3 and appendix B",
        expects=Expectation(
            figure=row.figure,
            cost=f"{length} epochs of ImageNet, each image four times",
        ),
    )


def byol_small() -> Recipe:
    """Returns ResNet-RS-26, a quarter as wide, at 96 px, 100 epochs; `fit` suits it to images."""
    way = Way(SMALL, SMALL_LARS, *versions(RandomResizedCrop(), blurs=False))
    source = "Bootstrap Your Own Latent (2020), as solo-learn (2022) on CIFAR"
    return made_small("byol-small", way, source=source)


def row_for(length: float) -> Row:
    """Returns the row of that many epochs, else of the next more."""
    return next((row for row in ROWS if length <= row.epochs), ROWS[-1])


def lars_for(row: Row, batch_size: int) -> LARS:
    """Returns the optimizer of a row for a batch."""
    return LARS(lr=scale_lr(row.lr_per_256, batch_size), weight_decay=row.weight_decay)


def versions(crop: Crop, *, flip: float = 0.5, blurs: bool = True) -> tuple[Augment, Augment]:
    """Returns how the two versions of an image are made.

    blurs: one of them always and the other seldom, as on ImageNet; small images neither.
    """
    first = Augment(
        crop=crop,
        flip=flip,
        jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, probability=0.8),
        grayscale=0.2,
        blur=Blur(probability=1.0) if blurs else None,
    )
    second = replace(
        first,
        blur=Blur(probability=0.1) if blurs else None,
        solarize=Solarize(probability=0.2),
    )
    return first, second
