"""What a run would take, measured on two updates of a copy; the run itself stays untouched."""

import time
from dataclasses import replace
from typing import NamedTuple

import torch

from vertebra.contracts import Progress
from vertebra.engine.distributed import World
from vertebra.engine.loop import parallel_and_compiled, update
from vertebra.engine.memory import peak_memory_mb
from vertebra.engine.state import collect, size_bytes
from vertebra.recipes.materials import build_training, training_batches
from vertebra.recipes.prepare import Prepared
from vertebra.recipes.teachers import guide
from vertebra.seeding import seeded


class Estimate(NamedTuple):
    """What to expect; times are of this machine, memory is this process's."""

    parameters: int
    macs: int
    steps: int
    seconds_per_step: float
    total_seconds: float
    peak_memory_mb: float
    checkpoint_mb: float


def estimate(prepared: Prepared) -> Estimate:
    """Returns what the run would take; makes two updates of the first phase and times the second.

    The total leaves out the evaluations. The first update also pays for starting the workers.
    """
    recipe, materials = prepared.recipe, prepared.materials[0]
    phase = recipe.phases[0]
    device = recipe.execution.resolve()
    guidance = guide(phase, prepared.classes, device=device)
    # two updates are no reason to ask teachers about every image; this takes no memory
    shape = len(guidance.teachers), len(materials.train), len(prepared.classes)
    guidance = guidance._replace(answers=torch.zeros((), device=device).expand(shape))
    training = build_training(
        recipe,
        phase,
        prepared.new_model(),
        images=len(materials.train),
        device=device,
        world=World(),
        guidance=guidance,
    )
    training = replace(training, steps=max(2, training.steps))
    forward = parallel_and_compiled(training)
    stream = iter(training_batches(recipe, phase, materials, training))
    seconds = 0.0
    for step in range(2):
        began = time.perf_counter()
        with seeded(recipe.seed, "step", step, 0, device=device):
            update(training, forward, stream, Progress(step, training.steps))
        seconds = time.perf_counter() - began
    return Estimate(
        parameters=prepared.cost.parameters,
        macs=prepared.cost.macs,
        steps=prepared.total_steps,
        seconds_per_step=seconds,
        total_seconds=seconds * prepared.total_steps,
        peak_memory_mb=peak_memory_mb(device),
        checkpoint_mb=size_bytes(collect(training)[0]) / 2**20,
    )
