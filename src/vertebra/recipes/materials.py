"""From a recipe to the things it names: images divided into splits, and a model with its method and
optimizer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from vertebra.contracts import Classifier
from vertebra.data.beside import JointBatches
from vertebra.data.examine import examine, keep
from vertebra.data.fraction import fraction, long_tail
from vertebra.data.images import Split
from vertebra.data.loader import EvaluationBatches, TrainBatches
from vertebra.data.patches import Patches
from vertebra.data.sources import open_source
from vertebra.data.split import Splits, divide
from vertebra.data.survey import FULL, Survey, survey
from vertebra.data.unlabelled import Unlabelled, open_images
from vertebra.engine.distributed import World
from vertebra.engine.gradient_checkpointing import checkpoint_blocks
from vertebra.engine.loop import Training
from vertebra.methods.guidance import NOBODY, Guidance
from vertebra.models.classifier import build_classifier, start_improbable
from vertebra.recipes.recipe import Data, Phase, Recipe
from vertebra.records import Json
from vertebra.seeding import seed_of, seeded


@dataclass(frozen=True)
class Materials:
    """The images of a phase: what was found, and the three disjoint splits that are used.

    elsewhere: images that are learnt from instead of the training split.
    beside:    images without labels that are learnt from too.
    labels:    [n, ...], what a teacher says of those; None where none has been asked.
    poorer:    what was taken from the training split, for the record; empty where nothing was.
    """

    survey: Survey
    splits: Splits
    elsewhere: Split | None = None
    beside: Split | None = None
    labels: Tensor | None = None
    poorer: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def train(self) -> Split:
        """The images that are learnt from."""
        return self.splits.train if self.elsewhere is None else self.elsewhere

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.survey.usable.classes

    def account(self) -> dict[str, Json]:
        """Returns found, used and refused of each split, as a run's record has them, and what was
        taken from train."""
        splits = self.survey.account()
        return splits | {"train": splits["train"] | dict(self.poorer)}


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
    return arrange(found, data, seed=seed)


def arrange(found: Survey, data: Data, *, seed: int) -> Materials:
    """Returns what was found, divided, with those of its training images that are learnt from.

    Raises:
        DataError: there are too few, or the other images that are learnt from are missing.
    """
    held_out = data.held_out_by(seed)
    splits = divide(found.usable, seed=held_out)
    train, poorer = _poorer(splits.train, data, seed=seed)
    taken = [f"{count} {name.replace('_', ' ')} of train" for name, count in poorer.items()]

    def others(images: Unlabelled | Patches | None) -> Split:
        if images in (
            None,
            Unlabelled(source=data.source),
        ):  # so that nothing held out is among them
            return splits.train.unlabelled()
        return _readable(images, channels=data.preprocess.channels, seed=held_out)

    return Materials(
        found,
        replace(splits, train=train, note="; ".join([splits.note, *taken])),
        elsewhere=others(data.learn_from) if data.learn_from else None,
        beside=others(data.beside.images) if data.beside else None,
        poorer=poorer,
    )


def _poorer(train: Split, data: Data, *, seed: int) -> tuple[Split, dict[str, int]]:
    """Returns the images of train that are learnt from, labels as they are learnt, and what was
    taken away in so many images."""
    found, poorer = train, dict[str, int]()
    if data.long_tail > 1:
        train = long_tail(train, data.long_tail, seed=seed)
    if data.fraction < 1:
        train = fraction(train, data.fraction, seed=seed)
    if len(train) < len(found):
        poorer["left_out"] = len(found) - len(train)
    if data.label_noise is not None:
        clean, train = train, data.label_noise.sample(train, seed=seed)
        poorer["wrong_labels"] = int((train.labels != clean.labels).sum())
    return train, poorer


def _readable(images: Unlabelled | Patches, *, channels: int, seed: int) -> Split:
    found = images.open(seed=seed)
    if isinstance(images, Patches):  # of one picture, which has been read
        return found
    return keep(found, examine(found, channels=channels, full=len(found) <= FULL))


def build_model(recipe: Recipe, classes: int, *, phase: int = 0) -> Classifier:
    """Returns the recipe's model with fresh weights drawn from its seed; each phase has its own."""
    channels = recipe.phases[0].data.preprocess.channels
    keys = ("weights", phase) if phase else ("weights",)
    with seeded(recipe.seed, *keys):
        model = build_classifier(
            recipe.model, classes=classes, in_channels=channels, dropout=recipe.dropout
        )
    if recipe.head_bias == "log_prior":
        start_improbable(model, classes)
    return model


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
    # a later phase has an order of images and draws of its own
    seed = seed_of(recipe.seed, "after", earlier_steps) if earlier_steps else recipe.seed
    with seeded(seed, "method"):  # what it adds to the model is drawn here
        method = phase.method.build(model, guidance)
    phase.fine_tuning.freeze(method)
    recipe.execution.place(method, device)
    if recipe.execution.gradient_checkpointing:
        checkpoint_blocks(method)
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
        seed=seed,
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
        layout=recipe.execution.layout,
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
        targets=materials.labels,
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
        layout=recipe.execution.layout,
    )


def _workers(recipe: Recipe, split: Split, world: World) -> int:
    return recipe.execution.worker_count(in_memory=split.in_memory, processes=world.size)
