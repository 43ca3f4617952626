"""The default: a small ResNet-RS with the ResNet-RS training on scikit-learn's handwritten digits.

Source: Revisiting ResNets (2021), section 4; data: Optical Recognition of Handwritten Digits, UCI
repository, 1,797 grey images of 8x8 pixels that scikit-learn bundles.
Differs: no flips, since a mirrored digit is another one or none; sizes and rates are ours, chosen
on the minival.
"""

from dataclasses import replace

from vertebra.data.augment import Augment
from vertebra.data.crops import RandomResizedCrop
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.duration import epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.resnet_rs import resnet_rs
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe


def digits() -> Recipe:
    """Returns ResNet-RS-26 at a quarter of the width on 24 px digits for 30 epochs."""
    return Recipe(
        name="digits",
        source="Revisiting ResNets (2021), section 4, made small",
        expects=Expectation(
            figure="98.8% top-1, mean of 3 seeds, digits' last third (measured 2026-11-22)",
            cost="54 s of training on 2 CPU cores",
        ),
        model=replace(resnet_rs(26), width=0.25),
        phases=(
            Phase(
                data=Data(
                    source="digits",
                    batch_size=64,
                    preprocess=replace(
                        Preprocess.for_channels(1, image_size=24), crop_fraction=1.0
                    ),
                    augment=Augment(
                        crop=RandomResizedCrop(scale=(0.6, 1.0)),
                        flip=0.0,
                        rand_augment=RandAugment(pool="tf", count=1, magnitude=5, reference_px=224),
                    ),
                ),
                method=SupervisedSpec(loss=CrossEntropy(smoothing=0.1)),
                optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
                schedule=Cosine(warmup=epochs(3)),
                length=epochs(30),
                averaging=Averaging(decay=0.999),
            ),
        ),
    )
