"""ResNet-50-D trained with the stacked refinements of Bag of Tricks, and the baseline that they
start from.

Source: Bag of Tricks for Image Classification with Convolutional Neural Networks (2019), sections
2, 3 and 5; Deep Residual Learning for Image Recognition (2015), section 3.4, for the baseline.
Differs: colour factors are drawn from [0.6, 1.4] without hue; PCA noise is left out, its gain being
unmeasured apart. The distillation of section 5.3 is a method of its own. Batch 256 in place of
1024; the rate scales with it. Norms and biases do not decay in the baseline either.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.duration import epochs
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine, StepDecay
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def baseline() -> Recipe:
    """Returns the original ResNet-50 with the training of its paper: steps of the rate, crops and
    flips, 120 epochs; no zero-gamma, the strides on the first 1x1."""
    return Recipe(
        name="baseline",
        source="Deep Residual Learning (2015), section 3.4; Bag of Tricks (2019), section 2",
        expects=Expectation(figure="75.3% top-1, ImageNet at 224 px (published)"),
        model=replace(NAMED["resnet50a"], zero_init_last=False),
        phases=(
            Phase(
                data=Data(source="imagenet", batch_size=256),
                optimizer=SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=1e-4),
                schedule=StepDecay(milestones=(0.25, 0.5, 0.75)),
                length=epochs(120),
            ),
        ),
        selection=Selection(keep="last"),
    )


def bag_of_tricks() -> Recipe:
    """Returns ResNet-50-D with warm-up, cosine, label smoothing, mixup and 200 epochs."""
    return Recipe(
        name="bag-of-tricks",
        source="Bag of Tricks for Image Classification (2019), section 5",
        expects=Expectation(figure="79.15% top-1, ImageNet at 224 px (published, no distillation)"),
        model=NAMED["resnet50d"],
        phases=(
            Phase(
                data=Data(
                    source="imagenet",
                    batch_size=256,
                    augment=Augment(
                        jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),
                        mixing=Mixing(mixup=0.2),
                    ),
                ),
                method=SupervisedSpec(loss=CrossEntropy(smoothing=0.1)),
                optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
                schedule=Cosine(warmup=epochs(5)),
                length=epochs(200),
            ),
        ),
        selection=Selection(keep="last"),
    )
