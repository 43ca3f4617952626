"""Fine-tuning: pretrained weights made to tell the classes of a small folder of images.

Source: A ConvNet for the 2020s (2022), appendix A: AdamW, a cosine, rates that decay by level, no
mixing and no average of weights; the light augmentation and the size of small images are those of
Big Transfer (2020), section 3.3.
Differs: rate, length and batch are ours, for hundreds of images and not a million; the rate decays
by stage, as in the paper's detectors; decay of weights as in training; a fresh head warms up.
"""

from vertebra.data.augment import Augment
from vertebra.data.crops import RandomResizedCrop
from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import Cosine
from vertebra.methods.fine_tuning import FineTuning
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Pretrained, Recipe


def finetune() -> Recipe:
    """Returns a pretrained ResNet-50 at 224 px, 20 epochs; `fit` suits it to weights and images."""
    return Recipe(
        name="finetune",
        source="A ConvNet for the 2020s (2022), appendix A, made small",
        expects=Expectation(),
        model=NAMED["resnet50"],
        pretrained=Pretrained(),
        phases=(
            Phase(
                data=Data(
                    source="PATH",
                    batch_size=64,
                    preprocess=Preprocess(image_size=224),
                    augment=Augment(crop=RandomResizedCrop(scale=(0.5, 1.0))),
                ),
                method=SupervisedSpec(loss=CrossEntropy(smoothing=0.1)),
                fine_tuning=FineTuning(rate_decay=0.7),
                optimizer=AdamW(lr=1e-3, weight_decay=0.05),
                schedule=Cosine(warmup=epochs(1)),
                length=epochs(20),
            ),
        ),
    )
