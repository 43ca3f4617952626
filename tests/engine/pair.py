"""What two processes do together, and one alone: `test_distributed` compares them.

Run as `python -m tests.engine.pair FOLDER`, each process writes RANK.safetensors and RANK.json.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.engine.drawn import CPU, K, Plain, Watcher, drawn_batches, plain_training, trained
from torch import Tensor, nn

from vertebra.contracts import Batch
from vertebra.engine.distributed import World, joined
from vertebra.engine.evaluate import evaluate
from vertebra.engine.execution import Execution
from vertebra.engine.interrupt import Interrupts
from vertebra.engine.observers import Saver
from vertebra.errors import DeviceError, Interrupted, NonFiniteError
from vertebra.records import EventLog
from vertebra.tasks.classify import ClassificationMetric

STEPS, ACCUMULATE, BATCH = 5, 2, 16


def shared(batches: list[Batch], world: World) -> list[Batch]:
    """Returns this process's part of each batch."""
    whole = [(batch.images, batch.targets, batch.index) for batch in batches]
    return [Batch(*(each.chunk(world.size)[world.rank] for each in parts)) for parts in whole]


def train_together(world: World) -> tuple[dict[str, Tensor], list[float]]:
    """Returns weights and losses of a training with clipping, accumulation and momentum."""
    training = plain_training(STEPS, world=world, accumulate=ACCUMULATE, clip_norm=0.5)
    batches = shared(drawn_batches(STEPS * ACCUMULATE, BATCH // ACCUMULATE), world)
    moments = trained(training, batches)
    assert {each.update.images for each in moments} == {BATCH}
    return dict(training.method.state_dict()), [each.update.loss for each in moments]


def evaluate_together(world: World) -> dict[str, Tensor]:
    """Returns the sums of a metric over ragged batches, every other one in each process."""
    torch.manual_seed(0)
    batches = [*drawn_batches(3, 7), *drawn_batches(1, 4, start=9)]
    metric = ClassificationMetric(K)
    evaluate(
        Plain().model,
        batches[world.rank :: world.size],
        metric,
        device=CPU,
        execution=Execution(),
        world=world,
    )
    return metric.sums


def align_buffers(world: World) -> Tensor:
    """Returns batch statistics that began differently in each process, after `align`."""
    norm = nn.BatchNorm1d(3)
    norm.running_mean.fill_(world.rank + 1.0)
    world.align(norm)
    return norm.running_mean


def stop_together(world: World, folder: Path) -> dict[str, object]:
    """The last process is asked to stop at update 2; what each then does."""
    saved: list[int] = []
    log = EventLog(folder / f"{world.rank}-log.jsonl")

    class Signal(Watcher):
        def needs_weights(self, progress):
            if progress.step == 2 and world.rank == world.size - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return False

    with Interrupts() as interrupts:
        saver = Saver(saved.append, interrupts, log=log, world=world)
        training = plain_training(STEPS, world=world)
        try:
            trained(training, shared(drawn_batches(STEPS, BATCH), world), Signal(), saver)
        except Interrupted as error:
            return {"saved": saved, "said": str(error).partition(";")[0]}
    return {"saved": saved, "said": None}


def fail_together(world: World) -> str:
    """What each process says of a loss that is not finite in the last one."""
    batches = shared(drawn_batches(2, BATCH), world)
    if world.rank == world.size - 1:
        batches[1].images[0, 0] = torch.nan
    try:
        trained(plain_training(2, world=world), batches)
    except NonFiniteError as error:
        return str(error).partition(";")[0]
    return "nothing"


def act(world: World, folder: Path) -> None:
    """Does all of it and writes what came out."""
    weights, losses = train_together(world)
    tensors = {**weights, **evaluate_together(world), "buffers": align_buffers(world)}
    found = {
        "losses": losses,
        "any": [world.any(world.rank == 0), world.any(False)],
        "total": world.total(torch.tensor([world.rank + 1, 2])).tolist(),
        "stopped": stop_together(world, folder),
        "failed": fail_together(world),
    }
    save_file(
        {name: value.contiguous() for name, value in tensors.items()},
        folder / f"{world.rank}.safetensors",
    )
    (folder / f"{world.rank}.json").write_text(json.dumps(found))


def main() -> int:
    """Acts with the others; then the last process leaves without a word."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    world = World.of_environment()
    try:
        with joined("cpu") as world:
            act(world, folder)
            if world.rank == world.size - 1:
                return 7
            world.wait()
    except DeviceError as error:
        (folder / "lost.txt").write_text(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
