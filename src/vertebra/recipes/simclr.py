"""SimCLR: pretraining without labels, as published for ImageNet, and made small for a folder.

Source: A Simple Framework for Contrastive Learning of Visual Representations (2020), section 2.3
and appendix A; for the small one the settings that solo-learn (2022) found for CIFAR.
Differs: in the small one the rate of LARS is that of BYOL there, as ours does not cut off its
ratio; nothing is blurred; length and width of the projector are ours, for a laptop.
"""

from vertebra.data.augment import Augment
from vertebra.data.blur import Blur
from vertebra.data.crops import Crop, RandomResizedCrop
from vertebra.data.jitter import ColorJitter
from vertebra.engine.optimizers import LARS, scale_lr
from vertebra.methods.simclr import SimCLRSpec
from vertebra.recipes.recipe import Expectation, Recipe
from vertebra.recipes.two_views import LARGE_BATCH, Way, made_small, on_imagenet

PUBLISHED_LR_PER_256, PUBLISHED_DECAY = 0.3, 1e-6
SMALL = SimCLRSpec(hidden=1024, projection=256, temperature=0.2)
SMALL_LARS = LARS(lr=1.0, weight_decay=1e-4, trust=0.02)


def simclr() -> Recipe:
    """Returns ResNet-50 at 224 px, batch 4096, for 1000 epochs."""
    made = version(RandomResizedCrop())
    return on_imagenet(
        "simclr",
        Way(SimCLRSpec(), lars_for(LARGE_BATCH), made, made),
        length=1000,
        source="A Simple Framework for Contrastive Learning (2020), section 2.3 and appendix A",
        expects=Expectation(
            figure="69.3% top-1 of a linear probe, ImageNet at 224 px (published)",
            cost="1000 epochs of ImageNet, each image twice",
        ),
    )


def simclr_small() -> Recipe:
    """Returns ResNet-RS-26, a quarter as wide, at 96 px, 100 epochs; `fit` suits it to images."""
    made = version(RandomResizedCrop(), blurs=False)
    source = "A Simple Framework for Contrastive Learning (2020), as solo-learn (2022) on CIFAR"
    return made_small("simclr-small", Way(SMALL, SMALL_LARS, made, made), source=source)


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
