"""SimCLR: pretraining without labels, as published for ImageNet, and made small for a folder.

Source: A Simple Framework for Contrastive Learning of Visual Representations (2020), section 2.3
and appendix A; for the small one the settings that solo-learn (2022) found for CIFAR.
Differs: in the small one the rate of LARS is that of BYOL there, as ours does not cut off its
ratio; nothing is blurred; length and width of the projector are ours, for a laptop.
"""

from dataclasses import replace

from vertebra.data.augment import Augment, ColorJitter, Crop, RandomResizedCrop
from vertebra.data.blur import Blur
from vertebra.data.preprocess import Preprocess
from vertebra.data.views import View
from vertebra.duration import epochs
from vertebra.engine.optimizers import LARS, scale_lr
from vertebra.engine.schedules import Cosine
from vertebra.methods.simclr import SimCLRSpec
from vertebra.models.resnet import NAMED
from vertebra.models.resnet_rs import resnet_rs
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection

PUBLISHED_LR_PER_256, PUBLISHED_DECAY = 0.3, 1e-6
SMALL = SimCLRSpec(hidden=1024, projection=256, temperature=0.2)
SMALL_LARS, SMALL_BATCH = LARS(lr=1.0, weight_decay=1e-4, trust=0.02), 256


def simclr() -> Recipe:
    """Returns ResNet-50 at 224 px, batch 4096, for 1000 epochs."""
    return Recipe(
        name="simclr",
        source="A Simple Framework for Contrastive Learning (2020), section 2.3 and appendix A",
        expects=Expectation(
            figure="69.3% top-1 of a linear probe, ImageNet at 224 px (published)",
            cost="1000 epochs of ImageNet, each image twice",
        ),
        model=NAMED["resnet50"],
        phases=(
            Phase(
                data=_data("imagenet", batch_size=4096, preprocess=Preprocess(image_size=224)),
                method=SimCLRSpec(),
                optimizer=lars_for(4096),
                schedule=Cosine(warmup=epochs(10)),
                length=epochs(1000),
            ),
        ),
        selection=Selection(keep="last"),
    )


def simclr_small() -> Recipe:
    """Returns ResNet-RS-26, a quarter as wide, at 96 px, 100 epochs; `fit` suits it to images."""
    preprocess = Preprocess(image_size=96, interpolation="bilinear")
    return Recipe(
        name="simclr-small",
        source="A Simple Framework for Contrastive Learning (2020), as solo-learn (2022) on CIFAR",
        expects=Expectation(),
        model=replace(resnet_rs(26), width=0.25),
        phases=(
            Phase(
                data=_data("PATH", batch_size=SMALL_BATCH, preprocess=preprocess, blurs=False),
                method=SMALL,
                optimizer=SMALL_LARS,
                schedule=Cosine(warmup=epochs(10)),
                length=epochs(100),
            ),
        ),
        selection=Selection(keep="last"),
    )


def lars_for(batch_size: int) -> LARS:
    """Returns the published optimizer for a batch."""
    return LARS(lr=scale_lr(PUBLISHED_LR_PER_256, batch_size), weight_decay=PUBLISHED_DECAY)


def version(crop: Crop, *, flip: float = 0.5, blurs: bool = True) -> Augment:
    """Returns how each version of an image is made; small images are not blurred."""
    return Augment(
        crop=crop,
        flip=flip,
        jitter=ColorJitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, probability=0.8),
        grayscale=0.2,
        blur=Blur(probability=0.5) if blurs else None,
    )


def _data(source: str, *, batch_size: int, preprocess: Preprocess, blurs: bool = True) -> Data:
    augment = version(RandomResizedCrop(), blurs=blurs)
    return Data(
        source=source,
        preprocess=preprocess,
        augment=augment,
        batch_size=batch_size,
        views=(View(augment=augment),),
    )
