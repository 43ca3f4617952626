"""What a run would take, measured on a few updates of a copy; the run itself stays untouched."""

import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import torch

from vertebra.contracts import Batch, Progress
from vertebra.data.beside import PseudoLabels
from vertebra.data.images import Split
from vertebra.engine.distributed import World
from vertebra.engine.evaluate import evaluate
from vertebra.engine.loop import Training, parallel_and_compiled, update
from vertebra.engine.memory import peak_memory_mb
from vertebra.engine.state import collect, size_bytes
from vertebra.recipes.judge import judged
from vertebra.recipes.materials import (
    Materials,
    build_training,
    evaluation_batches,
    training_batches,
)
from vertebra.recipes.prepare import Prepared
from vertebra.recipes.recipe import Phase, Recipe
from vertebra.recipes.teachers import guide
from vertebra.seeding import seeded


class Speed(NamedTuple):
    """How fast a phase goes on this machine, in seconds.

    step:       an update with the wait for its images; evaluation: a look at the minival.
    report:     a look at the split that is reported.
    """

    step: float
    evaluation: float
    report: float
    memory_mb: float
    checkpoint_mb: float


class Estimate(NamedTuple):
    """What to expect; times are of this machine, memory is this process's."""

    parameters: int
    macs: int
    steps: int
    training_seconds: float
    evaluation_seconds: float
    peak_memory_mb: float
    checkpoint_mb: float

    @property
    def seconds_per_step(self) -> float:
        """The mean over the updates of all phases."""
        return self.training_seconds / self.steps

    @property
    def total_seconds(self) -> float:
        """Training and evaluations."""
        return self.training_seconds + self.evaluation_seconds


def estimate(prepared: Prepared, *, seconds: float = 1.0) -> Estimate:
    """Returns what the run would take, each phase measured for about so many seconds.

    What a teacher says of images before a phase, and saves, are left out.
    """
    return expect(prepared, measure(prepared, seconds=seconds))


def expect(prepared: Prepared, speeds: tuple[Speed, ...]) -> Estimate:
    """Returns what a run takes whose phases have these speeds."""
    training = evaluating = 0.0
    for place, speed in enumerate(speeds):
        steps, per_epoch = prepared.steps(place), prepared.steps_per_epoch(place)
        every = prepared.recipe.selection.every.to_steps(per_epoch)
        training += steps * speed.step
        evaluating += -(-steps // every) * speed.evaluation
    return Estimate(
        parameters=prepared.cost.parameters,
        macs=prepared.cost.macs,
        steps=prepared.total_steps,
        training_seconds=training,
        evaluation_seconds=evaluating + speeds[-1].report,
        peak_memory_mb=max(each.memory_mb for each in speeds),
        checkpoint_mb=max(each.checkpoint_mb for each in speeds),
    )


def measure(prepared: Prepared, *, seconds: float = 1.0) -> tuple[Speed, ...]:
    """Returns the speed of each phase, measured on its updates for about `seconds`, at least three,
    and on each kind of evaluation for a third of that."""
    return tuple(_speed(prepared, place, seconds) for place in range(len(prepared.materials)))


def _speed(prepared: Prepared, place: int, seconds: float) -> Speed:
    recipe, phase = prepared.recipe, prepared.recipe.phases[place]
    materials = _labelled(prepared.materials[place], phase, len(prepared.classes))
    training = _training(prepared, place, materials)
    recipe.execution.settle(training.device)
    if training.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(training.device)
    step = _step_seconds(recipe, phase, materials, training, seconds)
    minival, report = (
        _look_seconds(recipe, phase, split, training, seconds / 3)
        for split in (materials.splits.minival, materials.splits.report)
    )
    return Speed(
        step=step,
        evaluation=minival,
        report=report,
        memory_mb=peak_memory_mb(training.device),
        checkpoint_mb=size_bytes(collect(training)[0]) / 2**20,
    )


def _training(prepared: Prepared, place: int, materials: Materials) -> Training:
    recipe, phase = prepared.recipe, prepared.recipe.phases[place]
    device = recipe.execution.resolve()
    guidance = guide(phase, prepared.classes, device=device)
    # a few updates are no reason to ask teachers about every image; this takes no memory
    shape = len(guidance.teachers), len(materials.train), len(prepared.classes)
    guidance = guidance._replace(answers=torch.zeros((), device=device).expand(shape))
    training = build_training(
        recipe,
        phase,
        prepared.new_model(place),
        images=len(materials.train),
        device=device,
        world=World(),
        guidance=guidance,
    )
    return replace(training, steps=max(3, training.steps))


def _labelled(materials: Materials, phase: Phase, classes: int) -> Materials:
    """Returns the materials, with labels in place of those that a teacher would give."""
    beside = phase.data.beside
    if materials.beside is None or beside is None or beside.labels is None:
        return materials
    return replace(materials, labels=_any_labels(beside.labels, len(materials.beside), classes))


def _any_labels(labels: PseudoLabels, images: int, classes: int) -> torch.Tensor:
    if labels.hard:
        return torch.zeros(images, dtype=torch.int64)
    return torch.tensor(1 / classes).expand(images, classes)


def _step_seconds(
    recipe: Recipe, phase: Phase, materials: Materials, training: Training, seconds: float
) -> float:
    """Returns the mean of the later half of the updates: the first one starts the workers, the next
    finds memory that was never touched, and those after it find images waiting."""
    forward, took = parallel_and_compiled(training), list[float]()
    training.method.train()
    stream = iter(training_batches(recipe, phase, materials, training))
    for step in range(training.steps):
        began = time.perf_counter()
        with seeded(recipe.seed, "step", step, 0, device=training.device):
            made = update(training, forward, stream, Progress(step, training.steps))
        made.read(Progress(step + 1, training.steps))  # else the device is still at it
        if step == 0:  # as `train` does
            training.execution.keep_memory(training.device)
        took.append(time.perf_counter() - began)
        if step > 1 and sum(took[2:]) >= seconds:
            break
    later = took[max(2, len(took) // 2) :]
    return sum(later) / len(later)


def _look_seconds(
    recipe: Recipe, phase: Phase, split: Split, training: Training, seconds: float
) -> float:
    """Returns what an evaluation on the split takes, reckoned from its first batches."""
    device = training.device
    batches = evaluation_batches(recipe, phase, split, device=device, world=World())
    model, metric = judged(training.deployable(), split)
    done: list[float] = []
    began = time.perf_counter()
    with closing(_for_a_while(batches, seconds)) as some:
        evaluate(
            model,
            some,
            metric,
            device=device,
            execution=training.execution,
            on_batch=lambda images: done.append(time.perf_counter() - began),
        )
    metric.result()  # waits for the device
    total, first = time.perf_counter() - began, done[0]
    rest = (total - first) / max(1, len(done) - 1)
    return total if len(done) == len(batches) else first + rest * (len(batches) - 1)


def _for_a_while(batches: Iterable[Batch], seconds: float) -> Generator[Batch]:
    """Yields batches for so long, at least two."""
    began = time.perf_counter()
    for number, batch in enumerate(batches):
        yield batch
        if number and time.perf_counter() - began >= seconds:
            return
