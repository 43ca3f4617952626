"""A ResNet-50 that never sees a photograph of ImageNet but patches of one picture, and a teacher.

Source: The Augmented Image Prior: Distilling 1000 Classes by Extrapolating from a Single Image
(2023), the experiments on ImageNet, and its authors' code.
Differs: the picture is one that scikit-learn bundles, smaller than the authors', of several
megapixels: give a better one. The rate follows a cosine, where theirs is halved twice.
"""

from vertebra.data.augment import Augment, Solarize
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.data.patches import Patches
from vertebra.duration import epochs
from vertebra.engine.optimizers import AdamW
from vertebra.methods.distill import DistillSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def single_image() -> Recipe:
    """Returns ResNet-50 at 224 px, 200 epochs of 1.28 million patches; the teacher that has to be
    given was a ResNet-18."""
    return Recipe(
        name="single-image",
        source="The Augmented Image Prior (2023), ImageNet",
        expects=Expectation(
            figure="66.2% top-1, ImageNet at 224 px, of a ResNet-18; 55.5% of a ResNet-50 "
            "(published by the authors' code)",
            cost="200 epochs of 1.28 million patches, each through teacher and student",
        ),
        model=NAMED["resnet50"],
        phases=(
            Phase(
                data=Data(
                    source="imagenet",
                    batch_size=512,
                    learn_from=Patches(image="china", count=1_280_000, size_px=224),
                    augment=Augment(
                        jitter=ColorJitter(
                            brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4, probability=0.8
                        ),
                        grayscale=0.2,
                        solarize=Solarize(probability=0.2),
                        mixing=Mixing(cutmix=1.0),
                    ),
                ),
                method=DistillSpec(temperature=8.0, scales_by_square=False),
                optimizer=AdamW(lr=0.01, weight_decay=5e-4),
                length=epochs(200),
            ),
        ),
        selection=Selection(keep="last"),
    )
