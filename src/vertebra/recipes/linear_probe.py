"""A linear probe with augmentation: only a linear map behind a frozen, pretrained backbone learns.

Source: Bootstrap Your Own Latent (2020), section 4.1: crops and flips, SGD with Nesterov momentum,
no decay of weights, a cosine, 80 epochs.
Differs: one rate, that of the released code, where the paper tries five; batch 256.
"""

from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs, steps
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.methods.fine_tuning import FineTuning
from vertebra.models.resnet import NAMED
from vertebra.recipes.recipe import Data, Expectation, Phase, Pretrained, Recipe, Selection


def linear_probe() -> Recipe:
    """Returns the probe of a ResNet-50 at 224 px; `--weights RUN` takes the run's model."""
    return Recipe(
        name="linear-probe",
        source="Bootstrap Your Own Latent (2020), section 4.1",
        expects=Expectation(figure="74.3% top-1, ImageNet, behind BYOL's ResNet-50 (published)"),
        model=NAMED["resnet50"],
        pretrained=Pretrained(),
        phases=(
            Phase(
                data=Data(source="PATH", batch_size=256, preprocess=Preprocess(image_size=224)),
                fine_tuning=FineTuning(frozen_levels="all"),
                optimizer=SGD(lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.0),
                schedule=Cosine(warmup=steps(0)),
                length=epochs(80),
            ),
        ),
        selection=Selection(keep="last"),
    )
