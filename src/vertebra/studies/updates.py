"""A recipe's epochs as updates: what stays the same when images are taken away."""

from dataclasses import replace

from vertebra.duration import Duration, steps
from vertebra.engine.schedules import ScheduleSpec, StepDecay
from vertebra.recipes.recipe import Phase, Recipe


def in_updates(recipe: Recipe, images: int) -> Recipe:
    """Returns the recipe with every length in epochs, of so many images, in updates.

    That is of each phase its length, warm-up and milestones, and how often the selection split is
    looked at.
    """
    phases = tuple(_phase(phase, images) for phase in recipe.phases)
    every = _updates(recipe.selection.every, images / recipe.phases[-1].data.batch_size)
    return replace(recipe, phases=phases, selection=replace(recipe.selection, every=every))


def _phase(phase: Phase, images: int) -> Phase:
    per_epoch = images / phase.data.batch_size
    schedule = _schedule(phase.schedule, per_epoch)
    return replace(phase, length=_updates(phase.length, per_epoch), schedule=schedule)


def _schedule(schedule: ScheduleSpec, per_epoch: float) -> ScheduleSpec:
    schedule = replace(schedule, warmup=_updates(schedule.warmup, per_epoch))
    if not isinstance(schedule, StepDecay):
        return schedule
    milestones = tuple(
        _updates(each, per_epoch) if isinstance(each, Duration) else each
        for each in schedule.milestones
    )
    return replace(schedule, milestones=milestones)


def _updates(length: Duration, per_epoch: float) -> Duration:
    return steps(length.to_steps(per_epoch))
