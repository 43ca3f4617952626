"""ResNet-RS with its training: long, cosine, averaged, and regularised as its row of the table
says.

Source: Revisiting ResNets: Improved Training and Scaling Strategies (2021), section 4 and table 1;
settings of each row from the released configurations.
Differs: no weight decay on norms and biases at all (the code exempts norms only). The images that
choose are our own rule; the last weights are kept, as there, so they choose nothing. Two rows, 350
and 420 layers at 320 px, were stopped early there; here none is. At another image size than its
row's, RandAugment's moves and holes keep their share of the image.
"""

from vertebra.data.augment import Augment
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.duration import epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.errors import RecipeError
from vertebra.methods.supervised import CrossEntropy, SupervisedSpec
from vertebra.models.resnet_rs import ROWS, Row
from vertebra.models.resnet_rs import resnet_rs as model
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection


def resnet_rs(depth: int = 50, image_size: int = 160) -> Recipe:
    """Returns the recipe of one published row; a row has its own dropout, stochastic depth and
    magnitude of RandAugment.

    Batch 4096 at rate 1.6, 350 epochs, SGD with momentum 0.9, weight decay 4e-5, label smoothing
    0.1, average 0.9999.

    Raises:
        RecipeError: no row has this depth and image size.
    """
    row = _row(depth, image_size)
    is_first = row is ROWS[0]
    return Recipe(
        name="resnet-rs" if is_first else f"resnet-rs-{row.depth}-{row.image_size}",
        source="Revisiting ResNets (2021), table 1 and appendix B",
        expects=Expectation(
            figure=f"{row.top1:.1%} top-1, ImageNet at {row.image_size} px (published)",
            cost="350 epochs of ImageNet",
        ),
        model=model(row.depth, stochastic_depth=row.stochastic_depth),
        dropout=row.dropout,
        phases=(_phase(row),),
        selection=Selection(keep="last"),
    )


def _row(depth: int, image_size: int) -> Row:
    for row in ROWS:
        if (row.depth, row.image_size) == (depth, image_size):
            return row
    known = ", ".join(f"{row.depth} at {row.image_size}" for row in ROWS)
    raise RecipeError(
        f"ResNet-RS was published with no {depth} layers at {image_size} px; choose one of {known}"
    )


def _phase(row: Row) -> Phase:
    operations = RandAugment(
        pool="tf", count=2, magnitude=row.magnitude, reference_px=row.image_size
    )
    return Phase(
        data=Data(
            source="imagenet",
            batch_size=4096,
            preprocess=Preprocess(image_size=row.image_size, interpolation="bicubic"),
            augment=Augment(rand_augment=operations),
        ),
        method=SupervisedSpec(loss=CrossEntropy(smoothing=0.1)),
        optimizer=SGD(lr=1.6, momentum=0.9, nesterov=False, weight_decay=4e-5),
        schedule=Cosine(warmup=epochs(5)),
        length=epochs(350),
        averaging=Averaging(decay=0.9999),
    )
