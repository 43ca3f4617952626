"""What recipes have in common that pretrain on two versions of each image: BYOL's and SimCLR's."""

from dataclasses import replace
from typing import NamedTuple

from vertebra.data.augment import Augment
from vertebra.data.preprocess import Preprocess
from vertebra.data.views import View
from vertebra.duration import epochs
from vertebra.engine.optimizers import LARS
from vertebra.engine.schedules import Cosine
from vertebra.methods.byol import BYOLSpec
from vertebra.methods.simclr import SimCLRSpec
from vertebra.models.resnet import NAMED
from vertebra.models.resnet_rs import resnet_rs
from vertebra.recipes.recipe import Data, Expectation, Phase, Recipe, Selection

LARGE_BATCH, SMALL_BATCH = 4096, 256


class Way(NamedTuple):
    """How it learns; `first` and `second` make the versions."""

    method: BYOLSpec | SimCLRSpec
    optimizer: LARS
    first: Augment
    second: Augment


def on_imagenet(name: str, way: Way, *, length: int, source: str, expects: Expectation) -> Recipe:
    """Returns ResNet-50 at 224 px, batch 4096, for `length` epochs."""
    phase = _phase(way, "imagenet", Preprocess(image_size=224), LARGE_BATCH, length)
    return Recipe(
        name=name,
        source=source,
        expects=expects,
        model=NAMED["resnet50"],
        phases=(phase,),
        selection=Selection(keep="last"),
    )


def made_small(name: str, way: Way, *, source: str) -> Recipe:
    """Returns ResNet-RS-26, a quarter as wide, at 96 px, 100 epochs; `fit` suits it to images."""
    preprocess = Preprocess(image_size=96, interpolation="bilinear")
    return Recipe(
        name=name,
        source=source,
        expects=Expectation(),
        model=replace(resnet_rs(26), width=0.25),
        phases=(_phase(way, "PATH", preprocess, SMALL_BATCH, 100),),
        selection=Selection(keep="last"),
    )


def _phase(way: Way, source: str, preprocess: Preprocess, batch_size: int, length: int) -> Phase:
    return Phase(
        data=Data(
            source=source,
            preprocess=preprocess,
            augment=way.first,
            batch_size=batch_size,
            views=(View(augment=way.second),),
        ),
        method=way.method,
        optimizer=way.optimizer,
        schedule=Cosine(warmup=epochs(10)),
        length=epochs(length),
    )
