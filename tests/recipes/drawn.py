"""Small folders of drawn pictures, and recipes that train on them within a second."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.augment import Augment
from vertebra.data.crops import Resize
from vertebra.data.images import Source, Split
from vertebra.data.names import Names
from vertebra.data.preprocess import Preprocess
from vertebra.data.readers import Arrays
from vertebra.data.split import divide
from vertebra.data.survey import survey
from vertebra.duration import epochs, steps
from vertebra.engine.execution import Execution
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.models.resnet import ResNetSpec
from vertebra.recipes.materials import Materials
from vertebra.recipes.recipe import Data, Phase, Recipe
from vertebra.recipes.vary import vary

SIZE = 16
CLASSES = ("left", "middle", "right")
SMALLEST = ResNetSpec(block="basic", blocks=(1, 1, 1, 1), width=0.125)


def pixels(place: int, *, seed: int) -> NDArray[np.uint8]:
    """Returns dark noise [S, S, 3] with a bright square at the left, in the middle or right."""
    noise = np.random.default_rng(seed).integers(0, 128, (SIZE, SIZE, 3), dtype=np.uint8)
    noise[5:11, place * 5 : place * 5 + 6] += 120
    return noise


def draw_album(root: Path, **counts: int) -> Path:
    """Writes `counts` pictures of each class for each split: draw_album(root, train=8, test=4)."""
    seed = 0
    for split, count in counts.items():
        for place, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                seed += 1
                Image.fromarray(pixels(place, seed=seed)).save(folder / f"{number}.png")
    return root


def in_memory(**counts: int) -> Materials:
    """Returns such images without files, which saves reading them."""
    splits: dict[str, Split] = {}
    first = 0
    for name, count in counts.items():
        labels = np.repeat(np.arange(len(CLASSES)), count)
        seeds = range(first, first + len(labels))
        first = seeds.stop
        drawn = [pixels(int(label), seed=each) for label, each in zip(labels, seeds, strict=True)]
        names, rows = Names.of(f"{name}-{each}" for each in seeds), np.arange(len(labels))
        splits[name] = Split(CLASSES, labels, names, rows, Arrays(np.stack(drawn)))
    source = Source("drawn", "nowhere", CLASSES, splits)
    return Materials(survey(source, channels=3), divide(source, seed=0))


def tiny(source: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Returns two epochs of plain training on the folder, with changes as `vary` takes them."""
    recipe = Recipe(
        name="tiny",
        source="drawn",
        model=SMALLEST,
        phases=(
            Phase(
                data=Data(
                    source=str(source),
                    preprocess=Preprocess(image_size=SIZE, crop_fraction=1.0),
                    augment=Augment(crop=Resize(), flip=0.0),
                    batch_size=12,
                ),
                optimizer=SGD(lr=0.1),
                schedule=Cosine(warmup=steps(0)),
                length=epochs(2),
            ),
        ),
        execution=Execution(device="cpu", workers=0),
    )
    return vary(recipe, changes or {})
