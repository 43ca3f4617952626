"""What the networks of recipes cost on this machine, before they are trained.

The counts are those of a run's record; the latency is what `vertebra bench` gives, of one image.
All networks are timed in turn, so that what else the machine does hits all alike.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, count
from typing import NamedTuple, Self

import torch

from vertebra.bench.account import Account, account
from vertebra.bench.failure import FAILURES, reason
from vertebra.bench.latency import interleaved, quantile
from vertebra.bench.settings import BenchSettings
from vertebra.bench.work import (
    Subject,
    Work,
    draw_images,
    inference,
    inference_form,
    synchronizer,
)
from vertebra.engine.environment import device_name
from vertebra.errors import RecipeError
from vertebra.models.shelf import title
from vertebra.models.specs import ModelSpec
from vertebra.recipes.materials import build_model
from vertebra.recipes.recipe import Recipe
from vertebra.records import Json
from vertebra.uncompiled import outline

BUDGET_S = 1.0
"""Seconds of timed calls for each network."""


class Cost(NamedTuple):
    """What a network takes at its image size.

    macs:       multiply-adds of one image.
    latency_ms: median call of one image; None if it was not measured, or could not be.
    """

    parameters: int
    macs: int
    latency_ms: float | None = None


def cost_of(
    recipe: Recipe, *, classes: int, measure: bool = True, budget_s: float = BUDGET_S
) -> Cost:
    """Returns the cost of a recipe's network, see `costs_of`."""
    return costs_of([recipe], classes=classes, measure=measure, budget_s=budget_s)[0]


def costs_of(
    recipes: Sequence[Recipe],
    *,
    classes: int | Sequence[int],
    measure: bool = True,
    budget_s: float = BUDGET_S,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Cost]:
    """Returns the cost of each recipe's network, in order; equal networks are looked at once.

    classes:     outputs of the head, of all or of each.
    measure:     time them too, on the device and in the precision and layout of the first recipe.
    on_progress: hears how many pieces of the work are done, and of how many.

    Raises:
        RecipeError: a network does not take images of its recipe's size.
        DeviceError: the device is not there.
    """
    heads = [classes] * len(recipes) if isinstance(classes, int) else classes
    asked = [_Asked.of(recipe, head) for recipe, head in zip(recipes, heads, strict=True)]
    distinct = dict(zip(asked, recipes, strict=True))
    done = count()

    def advance() -> None:
        if on_progress is not None:
            on_progress(next(done) + 1, len(distinct) * (2 if measure else 1))

    counted = {each: _count(each, recipe, advance) for each, recipe in distinct.items()}
    times = _latencies(distinct, budget_s, advance) if measure else {}
    return [Cost(counted[each].parameters, counted[each].macs, times.get(each)) for each in asked]


class _Asked(NamedTuple):
    """What decides the cost of a network."""

    model: ModelSpec
    image_size: int
    channels: int
    classes: int

    @classmethod
    def of(cls, recipe: Recipe, classes: int) -> Self:
        preprocess = recipe.phases[-1].data.preprocess
        return cls(recipe.model, preprocess.image_size, preprocess.channels, classes)


def conditions(recipe: Recipe) -> dict[str, Json]:
    """Returns how `costs_of` measures: device, precision, threads of the CPU."""
    settings = _settings(recipe, BUDGET_S)
    return {
        "device": device_name(settings.torch_device),
        "precision": settings.precision,
        "threads": torch.get_num_threads(),
    }


def _count(asked: _Asked, recipe: Recipe, on_done: Callable[[], None]) -> Account:
    try:
        with outline():  # shapes are enough to count with
            model = build_model(recipe, asked.classes)
        return account(model, image_size=asked.image_size, in_channels=asked.channels)
    except FAILURES as error:
        raise RecipeError(
            f"{title(asked.model)} takes no images of {asked.image_size} px "
            f"({reason(error, doing='counting its operations')}); give another size"
        ) from error
    finally:
        on_done()


def _latencies(
    distinct: Mapping[_Asked, Recipe], budget_s: float, on_done: Callable[[], None]
) -> dict[_Asked, float]:
    """Returns the median call of each network in milliseconds; one that fails has none."""
    settings = _settings(next(iter(distinct.values())), budget_s)
    works: dict[_Asked, Work] = {}
    for each, recipe in distinct.items():
        with suppress(*FAILURES):
            works[each] = _call(each, recipe, settings)
        on_done()
    found = interleaved(
        works,
        budget_s=budget_s,
        synchronize=synchronizer(settings.torch_device),
        on_failure=lambda key, error: None,
    )
    return {each: 1000 * quantile([*chain(*blocks)], 0.5) for each, blocks in found.items()}


def _call(asked: _Asked, recipe: Recipe, settings: BenchSettings) -> Work:
    subject = Subject(
        name=recipe.name,
        image_size=asked.image_size,
        in_channels=asked.channels,
        build=partial(build_model, recipe, asked.classes),
    )
    model = inference_form(subject, settings)
    return inference(model, draw_images(subject, settings.call_size, settings), settings)


def _settings(recipe: Recipe, budget_s: float) -> BenchSettings:
    execution = recipe.execution
    return BenchSettings(
        batch_size=1,
        precision=execution.precision,
        device=str(execution.resolve()),
        channels_last=execution.channels_last,
        budget_s=budget_s,
    )
