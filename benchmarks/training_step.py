"""A training step of ours against timm's model in a plain loop: forward, backward, update.

The plain loop is what one writes first: cross-entropy, SGD with Nesterov momentum, fp32, images
and weights as torch lays them out, freed memory handed back as glibc does. With `--peer autocast`
it is channels last and its forward pass in bf16 by autocast. Ours is the step that `vertebra train`
makes, on a batch that lies ready. See `sides.py` for how they are timed; a step counts as three
times the multiply-adds of its forward pass.

    uv run python benchmarks/training_step.py
    uv run python benchmarks/training_step.py --precision bf16 --peer autocast
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import repeat
from pathlib import Path

from sides import Trial, compare, print_means, product

MODELS = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnetrs50": "resnetrs50",
    "resnest50": "resnest50d",
    "timm/efficientnet_b0": "efficientnet_b0",
}
"""Our name -> timm's."""

AGAINST = {
    "plain": "timm in a plain fp32 loop",
    "autocast": "timm, channels last, bf16 by autocast",
}

CLASSES = 100
IMAGE_SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of a round, for each")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="ours")
    parser.add_argument("--peer", choices=list(AGAINST), default="plain")
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    given = parser.parse_args()
    trial = Trial(
        work=f"training step, batch {given.batch_size} at {IMAGE_SIZE} px, {given.precision}",
        against=AGAINST[given.peer],
        rounds=given.rounds,
        calls=given.steps,
        file=given.record,
    )
    ratios: list[float] = []
    for name in given.models:
        builds = {
            "peer": partial(plain_loop, MODELS[name], given.batch_size, given.peer),
            "ours": partial(our_step, name, given.batch_size, given.precision),
            "product": partial(same_product, name, given.batch_size),
        }
        ratios.append(compare(name, builds, trial))
    print_means(ratios)


def plain_loop(name: str, batch_size: int, peer: str) -> Callable[[], object]:
    import timm
    import torch

    half = peer == "autocast"
    layout = torch.channels_last if half else torch.contiguous_format
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=CLASSES).train().to(memory_format=layout)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    criterion = torch.nn.CrossEntropyLoss()
    images = torch.randn(batch_size, 3, IMAGE_SIZE, IMAGE_SIZE).contiguous(memory_format=layout)
    targets = torch.randint(CLASSES, (batch_size,))

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = criterion(model(images), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def our_step(name: str, batch_size: int, precision: str) -> Callable[[], object]:
    import torch

    from vertebra.contracts import Batch, Progress
    from vertebra.data.preprocess import Preprocess
    from vertebra.duration import steps
    from vertebra.engine.distributed import World
    from vertebra.engine.execution import Execution
    from vertebra.engine.loop import parallel_and_compiled, update
    from vertebra.engine.optimizers import SGD
    from vertebra.engine.schedules import Constant
    from vertebra.models.shelf import find_spec
    from vertebra.recipes.materials import build_model, build_training
    from vertebra.recipes.recipe import Data, Phase, Recipe

    phase = Phase(
        data=Data(
            source="drawn", preprocess=Preprocess(image_size=IMAGE_SIZE), batch_size=batch_size
        ),
        optimizer=SGD(lr=0.01, nesterov=True, weight_decay=1e-4),
        schedule=Constant(),
        length=steps(1_000_000),
    )
    recipe = Recipe(
        name="step",
        source="drawn",
        model=find_spec(name),
        phases=(phase,),
        execution=Execution(precision=precision),
    )
    device = torch.device("cpu")
    recipe.execution.settle(device)
    torch.manual_seed(0)
    training = build_training(
        recipe,
        phase,
        build_model(recipe, CLASSES),
        images=batch_size,
        device=device,
        world=World(),
    )
    images = torch.randn(batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
    images = images.contiguous(memory_format=recipe.execution.layout)
    targets = torch.randint(CLASSES, (batch_size,))
    stream = repeat(Batch(images, targets, torch.arange(batch_size)))
    forward = parallel_and_compiled(training)
    training.method.train()
    done = Progress(1, training.steps)

    def step() -> object:
        return update(training, forward, stream, Progress(0, training.steps)).read(done)

    step()
    recipe.execution.keep_memory(device)
    return step


def same_product(name: str, batch_size: int) -> Callable[[], object]:
    from vertebra.bench.operators import operators
    from vertebra.tasks.classify import create_model

    found = operators(create_model(name, num_classes=CLASSES), image_size=IMAGE_SIZE)
    return product(3 * batch_size * sum(found.macs.values()))


if __name__ == "__main__":
    main()
