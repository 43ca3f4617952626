"""A training step of ours against timm's model in a plain loop: forward, backward, update.

The plain loop is what one writes first: cross-entropy, SGD with Nesterov momentum, fp32, images and
weights as torch lays them out, freed memory handed back as glibc does. Ours is the step that
`vertebra train` makes, on a batch that lies ready. Each side lives in a process of its own; they
work in turn (A B A B ...); a ratio is of the medians of one round. Above 1, ours is faster. Peak
memory is the largest resident set of either process after each model.

    uv run python benchmarks/training_step.py
"""

import argparse
from collections.abc import Callable
from itertools import repeat
from statistics import geometric_mean, median

from inference_as_shipped import ask, start
from vertebra.bench.latency import Spread

MODELS = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnetrs50": "resnetrs50",
    "resnest50": "resnest50d",
    "timm/efficientnet_b0": "efficientnet_b0",
}
"""Our name -> timm's."""

CLASSES = 100
IMAGE_SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of a round, for each")
    given = parser.parse_args()
    ratios: list[float] = []
    for name in given.models:
        sides = {"timm": start(plain_loop), "ours": start(our_step)}  # anew, for the peaks
        for side, model in (("timm", MODELS[name]), ("ours", name)):
            ask(sides[side], ("load", model, given.batch_size))
        seconds: dict[str, list[float]] = {"timm": [], "ours": []}
        for _ in range(given.rounds):
            for side in seconds:
                seconds[side].append(ask(sides[side], ("time", given.steps)))
        pairs = zip(seconds["timm"], seconds["ours"], strict=True)
        ratio = Spread.of([theirs / own for theirs, own in pairs])
        ratios.append(ratio.p50)
        memory = {side: ask(pipe, ("memory",)) for side, pipe in sides.items()}
        print(
            f"{name:<22} {ratio.p50:.2f} times ({ratio.p25:.2f} to {ratio.p75:.2f}); "
            f"{1000 * median(seconds['timm']):.0f} and {1000 * median(seconds['ours']):.0f} ms; "
            f"peak {memory['timm']:.0f} and {memory['ours']:.0f} MB, "
            f"{memory['ours'] / memory['timm']:.2f} times",
            flush=True,
        )
        for pipe in sides.values():
            pipe.send(None)
    print(f"geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")


def plain_loop(name: str, batch_size: int) -> Callable[[], object]:
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=CLASSES).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    criterion = torch.nn.CrossEntropyLoss()
    images = torch.randn(batch_size, 3, IMAGE_SIZE, IMAGE_SIZE)
    targets = torch.randint(CLASSES, (batch_size,))

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(model(images), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def our_step(name: str, batch_size: int) -> Callable[[], object]:
    import torch

    from vertebra.contracts import Batch, Progress
    from vertebra.data.preprocess import Preprocess
    from vertebra.duration import steps
    from vertebra.engine.distributed import World
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
    recipe = Recipe(name="step", source="drawn", model=find_spec(name), phases=(phase,))
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
    return lambda: update(training, forward, stream, Progress(0, training.steps))


if __name__ == "__main__":
    main()
