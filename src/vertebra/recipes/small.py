"""ResNet-RS made small: the same training on a network and a length that a laptop can bear.

Source: Revisiting ResNets (2021), section 4 (the training), section 6 (regularise with the size of
the network and the length of training; dropout by width from the scaling experiments).
Differs: width, depth, length and rates are ours, for minutes on a laptop; they were not tuned.
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


def small() -> Recipe:
    """Returns ResNet-RS-26, a quarter as wide, at 96 px for 30 epochs; `fit` suits it to images."""
    return Recipe(
        name="small",
        source="Revisiting ResNets (2021), sections 4 and 6, made small",
        expects=Expectation(),
        model=replace(resnet_rs(26), width=0.25),
        phases=(
            Phase(
                data=Data(
                    source="PATH",
                    batch_size=64,
                    preprocess=Preprocess(image_size=96, interpolation="bilinear"),
                    augment=Augment(
                        crop=RandomResizedCrop(scale=(0.25, 1.0)),
                        rand_augment=RandAugment(pool="tf", count=1, magnitude=6, reference_px=224),
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
