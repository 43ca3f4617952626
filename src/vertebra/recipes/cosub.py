"""The small vision transformer of DeiT III, co-trained with its own submodels.

Source: Co-training 2^L Submodels for Visual Recognition (2023) and the code of its authors, whose
training is that of DeiT III: Revenge of the ViT (2022) for the small network.
Differs: AdamW at the rate of DeiT (5e-4 for 512 images) in place of LAMB at 4e-3. 3-Augment (grey,
solarised or blurred) is left out, but for the colour jitter that goes with it. The rate of
stochastic depth grows to twice the constant 0.05, the same on average. LayerScale starts at 1e-6,
timm's value, where there it is 1e-4.
"""

from vertebra.data.augment import Augment
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs
from vertebra.engine.optimizers import AdamW
from vertebra.engine.schedules import Cosine
from vertebra.methods.cosub import CosubSpec
from vertebra.methods.supervised import BinaryCrossEntropy
from vertebra.models.timm import TimmSpec
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def cosub() -> Recipe:
    """Returns DeiT III-S at 224 px, 800 epochs at batch 2048 with mixup, CutMix and sigmoids."""
    return Recipe(
        name="cosub",
        source="Co-training 2^L Submodels (2023); DeiT III (2022), the small network",
        expects=Expectation(
            figure="none found; without cosub 81.4% top-1, ImageNet at 224 px (published)",
            cost="800 epochs of ImageNet, each image twice",
        ),
        model=TimmSpec(name="deit3_small_patch16_224", stochastic_depth=0.1),
        phases=(
            Phase(
                data=Data(
                    source="imagenet",
                    batch_size=2048,
                    preprocess=Preprocess(image_size=224, interpolation="bicubic"),
                    augment=Augment(
                        jitter=ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
                        mixing=Mixing(mixup=0.8, cutmix=1.0),
                    ),
                ),
                method=CosubSpec(loss=BinaryCrossEntropy(threshold=0.0, sum_classes=False)),
                optimizer=AdamW(lr=2e-3, weight_decay=0.05),
                schedule=Cosine(warmup=epochs(5)),
                length=epochs(800),
            ),
        ),
        selection=Selection(keep="last"),
    )
