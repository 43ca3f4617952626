"""From a recipe to the things it names: images divided into splits, and a model with its method and
optimizer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from vertebra.contracts import Classifier
from vertebra.data.beside import JointBatches
from vertebra.data.examine import examine, keep
from vertebra.data.images import Split
from vertebra.data.loader import EvaluationBatches, TrainBatches
from vertebra.data.sources import open_source
from vertebra.data.split import Splits, divide
from vertebra.data.survey import FULL, Survey, survey
from vertebra.data.unlabelled import Unlabelled, open_images
from vertebra.engine.distributed import World
from vertebra.engine.loop import Training
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.models.classifier import build_classifier
from vertebra.recipes.recipe import Data, Phase, Recipe
from vertebra.seeding import seed_of, seeded


@dataclass(frozen=True)
class Materials:
    """The images of a phase: what was found, and the three disjoint splits that are used.

    elsewhere: images that are learnt from instead of the training split.
    beside:    images without labels that are learnt from too.
    """

    survey: Survey
    splits: Splits
    elsewhere: Split | None = None
    beside: Split | None = None

    @property
    def train(self) -> Split:
        """The images that are learnt from."""
        return self.splits.train if self.elsewhere is None else self.elsewhere

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.survey.usable.classes


def gather(
    data: Data,
    *,
    seed: int,
    needs_labels: bool = True,
    download: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Materials:
    """Returns the images that `data` names, examined and divided; those that have no classes only
    where no labels are needed.

    Raises:
        DataError: the source is missing, empty or inconsistent, or nothing in a split can be read.
    """
    opened = open_source if needs_labels else open_images
    source = opened(data.source, download=download)
    channels = data.preprocess.channels
    found = survey(source, channels=channels, on_progress=on_progress)
    return Materials(
        found,
        divide(found.usable, seed=seed),
        elsewhere=_readable(data.learn_from, channels=channels, seed=seed),
        beside=_readable(data.beside and data.beside.images, channels=channels, seed=seed),
    )


def _readable(images: Unlabelled | None, *, channels: int, seed: int) -> Split | None:
    if images is None:
        return None
    found = images.open(seed=seed)
    return keep(found, examine(found, channels=channels, full=len(found) <= FULL))


def build_model(recipe: Recipe, classes: int, *, phase: int = 0) -> Classifier:
    """Returns the recipe's model with fresh weights drawn from its seed; each phase has its own."""
    channels = recipe.phases[0].data.preprocess.channels
    keys = ("weights", phase) if phase else ("weights",)
    with seeded(recipe.seed, *keys):
        return build_classifier(
            recipe.model, classes=classes, in_channels=channels, dropout=recipe.dropout
        )


def build_training(
    recipe: Recipe,
    phase: Phase,
    model: Classifier,
    *,
    images: int,
    device: torch.device,
    world: World,
    earlier_steps: int = 0,
    guidance: Guidance = NOBODY,
) -> Training:
    """Returns the phase's training around `model`; `images` is how many it learns from."""
    method = phase.method.build(model, guidance)
    phase.fine_tuning.freeze(method)
    recipe.execution.place(method, device)
    steps_per_epoch = images / phase.data.batch_size
    return Training(
        method=method,
        optimizer=phase.optimizer.build(phase.fine_tuning.parameter_groups(method), device),
        schedule=phase.schedule,
        lr=phase.optimizer.lr,
        steps=phase.length.to_steps(steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        device=device,
        execution=recipe.execution,
        accumulate=phase.accumulate,
        clip_norm=phase.clip_norm,
        average=phase.averaging.build(method.deployable()) if phase.averaging else None,
        world=world,
        # a later phase has an order of images and draws of its own
        seed=seed_of(recipe.seed, "after", earlier_steps) if earlier_steps else recipe.seed,
        earlier_steps=earlier_steps,
    )


def training_batches(
    recipe: Recipe, phase: Phase, materials: Materials, training: Training, *, start: int = 0
) -> TrainBatches | JointBatches:
    """Returns the batches of the phase from update `start` on."""
    data = phase.data
    batches = TrainBatches(
        materials.train,
        preprocess=data.preprocess,
        augment=data.augment,
        batch_size=data.batch_size,
        seed=training.seed,
        steps=training.steps,
        start_step=start,
        accumulate=phase.accumulate,
        rank=training.world.rank,
        world=training.world.size,
        workers=_workers(recipe, materials.train, training.world),
        device=training.device,
        classes=max(1, len(materials.classes)),
        views=data.views,
    )
    if data.beside is None or materials.beside is None:
        return batches
    beside = replace(
        batches,
        split=materials.beside,
        augment=data.beside.augment,
        batch_size=data.batch_size * data.beside.ratio,
        seed=seed_of(training.seed, "beside"),
        workers=_workers(recipe, materials.beside, training.world),
        views=data.beside.views,
    )
    return JointBatches(batches, beside)


def evaluation_batches(
    recipe: Recipe, phase: Phase, split: Split, *, device: torch.device, world: World
) -> EvaluationBatches:
    """Returns every image of `split` once, shared among the processes of `world`."""
    return EvaluationBatches(
        split,
        preprocess=phase.data.preprocess,
        batch_size=max(1, phase.pass_size // world.size),
        workers=_workers(recipe, split, world),
        device=device,
        rank=world.rank,
        world=world.size,
    )


def _workers(recipe: Recipe, split: Split, world: World) -> int:
    return recipe.execution.worker_count(in_memory=split.in_memory, processes=world.size)
