"""A recipe made ready: its images found and divided, its cost counted; nothing trained yet."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from vertebra.bench.account import Account, account
from vertebra.contracts import Classifier, Progress
from vertebra.data.beside import Beside
from vertebra.data.preprocess import Preprocess
from vertebra.errors import DataError
from vertebra.recipes.materials import Materials, build_model, gather
from vertebra.recipes.precision import check_compiled, check_precision
from vertebra.recipes.recipe import Data, Recipe
from vertebra.recipes.teachers import require_teachers
from vertebra.uncompiled import outline


class Prepared(NamedTuple):
    """A recipe with all that can be known before training; one `Materials` a phase."""

    recipe: Recipe
    materials: tuple[Materials, ...]
    cost: Account

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.materials[-1].classes

    @property
    def total_steps(self) -> int:
        """The updates of all phases."""
        return sum(map(self.steps, range(len(self.recipe.phases))))

    @property
    def epochs(self) -> float:
        """The passes over the training images of all phases."""
        places = range(len(self.recipe.phases))
        return sum(self.steps(place) / self.steps_per_epoch(place) for place in places)

    @property
    def digest(self) -> str:
        """What is another one when an image is added, removed, renamed, or has another class."""
        digest = hashlib.blake2b(digest_size=8)
        for each in self.materials:
            splits = (each.splits.train, each.splits.minival, each.splits.report)
            for split in (*splits, each.elsewhere, each.beside):
                if split is not None:
                    digest.update(split.names.digest())
                    digest.update(split.labels.tobytes())
        return digest.hexdigest()

    def new_model(self, place: int = 0) -> Classifier:
        """Returns the model with the fresh weights that its seed draws for phase number `place`."""
        return build_model(self.recipe, max(1, len(self.classes)), phase=place)

    def steps(self, place: int) -> int:
        """Returns the updates of phase number `place`."""
        return self.recipe.phases[place].length.to_steps(self.steps_per_epoch(place))

    def steps_per_epoch(self, place: int) -> float:
        """Returns the updates in one pass over the training images of phase number `place`."""
        images = len(self.materials[place].train)
        return images / self.recipe.phases[place].data.batch_size


def prepare(
    recipe: Recipe, *, materials: tuple[Materials, ...] = (), processes: int = 1
) -> Prepared:
    """Returns the recipe made ready; `materials` are gathered unless given, one a phase.

    Raises:
        RecipeError: the parts do not fit each other.
        DataError: the images are missing or inconsistent.
    """
    recipe.check(processes=processes)
    materials = materials or gather_all(recipe)
    classes = materials[0].classes
    for each in materials:
        if each.classes != classes:
            raise DataError(
                f"phases have different classes, {list(classes)} and {list(each.classes)}; "
                f"give every phase the same"
            )
    with outline():  # shapes are enough to count with
        model = build_model(recipe, max(1, len(classes)))
    check_precision(recipe, model)
    check_compiled(recipe, model)
    preprocess = recipe.phases[-1].data.preprocess
    cost = account(model, image_size=preprocess.image_size, in_channels=preprocess.channels)
    prepared = Prepared(recipe, materials, cost)
    for place, phase in enumerate(recipe.phases):
        phase.fine_tuning.check(model)
        require_teachers(phase, classes)
        progress = Progress(0, prepared.steps(place))
        phase.schedule.factor(progress, prepared.steps_per_epoch(place))  # refuses what cannot fit
    return prepared


def gather_all(
    recipe: Recipe,
    *,
    download: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Materials, ...]:
    """Returns the materials of each phase; phases that read the same images share theirs.

    Raises:
        DataError: images are missing or inconsistent.
    """
    gathered: dict[tuple[Data, bool], Materials] = {}
    keys = [(_images_of(phase.data), phase.method.needs_labels) for phase in recipe.phases]
    for key in keys:
        if key not in gathered:
            data, needs_labels = key
            gathered[key] = gather(
                data,
                seed=recipe.seed,
                needs_labels=needs_labels,
                download=download,
                on_progress=on_progress,
            )
    return tuple(gathered[key] for key in keys)


def _images_of(data: Data) -> Data:
    """Returns only what decides which images are read."""
    images = Data(
        source=data.source,
        learn_from=data.learn_from,
        fraction=data.fraction,
        long_tail=data.long_tail,
        label_noise=data.label_noise,
        split_seed=data.split_seed,
    )
    channels = Preprocess.for_channels(data.preprocess.channels)
    return replace(
        images, preprocess=channels, beside=data.beside and Beside(images=data.beside.images)
    )
