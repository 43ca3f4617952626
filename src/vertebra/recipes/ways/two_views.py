"""What the ways to learn from two versions of each image share: the rest of a recipe, made to serve
pretraining.

Source: Bootstrap Your Own Latent (2020), section 3.3; for small runs solo-learn (2022).
Differs: networks that were only ever trained with AdamW are so here, at a rate of ours.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from vertebra.data.augment import Augment
from vertebra.data.crops import Crop, RandomResizedCrop
from vertebra.data.views import View
from vertebra.engine.optimizers import LARS, AdamW
from vertebra.engine.schedules import Cosine
from vertebra.methods.two_views import TwoViews
from vertebra.models.specs import network_in
from vertebra.recipes.fit import Fitted
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.suit import ADAPTIVE
from vertebra.recipes.ways.wishes import Wishes

LARGE_BATCH = 1024
"""From here on the settings are those for ImageNet, below it those for CIFAR."""

BLURRED_PX = 128
"""Smaller images are not blurred."""

ADAMW, ADAMW_BATCH = AdamW(lr=3e-4, weight_decay=0.05), 256
"""The rates of LARS would make it diverge."""


class Settings(NamedTuple):
    """What a phase learns by, and how the two versions are made."""

    method: TwoViews
    optimizer: LARS
    versions: tuple[Augment, Augment]


def pretraining(
    recipe: Recipe, wishes: Wishes, name: str, settings: Callable[[Phase, Crop, bool], Settings]
) -> Fitted:
    """Returns the recipe with each phase made to learn from two versions of each image; one that
    does so already stays, but for an optimizer that does not suit the model.

    settings: for a phase, its crop, and whether its images are blurred.

    Raises:
        RecipeError: something was given that it has no use for.
    """
    wishes.refuse_all_but(name)
    spec = network_in(recipe.model).spec
    is_adaptive = isinstance(spec, ADAPTIVE)
    phases = tuple(_pretraining(phase, settings, is_adaptive) for phase in recipe.phases)
    made = replace(
        recipe,
        phases=phases,
        dropout=0.0,
        selection=replace(recipe.selection, keep="last"),
    )
    return Fitted(made, _notes(recipe, made, name))


def _pretraining(
    phase: Phase, settings: Callable[[Phase, Crop, bool], Settings], is_adaptive: bool
) -> Phase:
    data = phase.data
    crop = data.augment.crop
    if not isinstance(crop, RandomResizedCrop):
        crop = RandomResizedCrop()
    found = settings(phase, crop, data.preprocess.image_size >= BLURRED_PX)
    optimizer = found.optimizer
    if is_adaptive:
        optimizer = replace(ADAMW, lr=ADAMW.lr_for(data.batch_size / ADAMW_BATCH))
    if isinstance(phase.method, type(found.method)):
        is_suited = isinstance(phase.optimizer, AdamW) or not is_adaptive
        return phase if is_suited else replace(phase, optimizer=optimizer)
    first, second = found.versions
    views = (View(augment=second),)
    return replace(
        phase,
        data=replace(data, augment=first, views=views, beside=None),
        method=found.method,
        optimizer=optimizer,
        schedule=Cosine(warmup=phase.schedule.warmup),
        clip_norm=None,
        averaging=None,
    )


def _notes(before: Recipe, after: Recipe, name: str) -> tuple[str, ...]:
    """Returns a sentence for each change; one that several phases share is said once."""
    notes: list[str] = []
    for old, new in zip(before.phases, after.phases, strict=True):
        if old.method != new.method:
            notes += [
                f"method: {name}, on two versions of each image, without labels; where there are "
                f"classes a linear probe learns them beside it",
                "data.augment: as published for it, with the recipe's flips and random crop",
            ]
        if old.optimizer != new.optimizer:
            kinds = [type(each.optimizer).__name__ for each in (old, new)]
            notes.append(f"optimizer: {kinds[0]} -> {kinds[1]}, lr {new.optimizer.lr:.6g}")
        if old.averaging != new.averaging:
            notes.append("averaging: left out")
        if old.data.beside != new.data.beside:
            notes.append("data.beside: left out, as all images are learnt from without labels")
    if before.dropout:
        notes.append(f"dropout: {before.dropout:g} -> 0, as the probe has none")
    if before.selection != after.selection:
        notes.append("selection.keep: best -> last, as no label may choose")
    return tuple(dict.fromkeys(notes))
