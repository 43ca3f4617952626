"""Training throughput and peak memory against the usual PyTorch script: torchvision's folder, its
transforms and its reference loop, with the network that our run has.

The two commands run in turn (A B A B ...), each in a process of its own; the median of the ratios
of a round is printed. A rate is of all images after the first fifth of the steps, reading included,
over the time that they took; memory is the largest resident set of one process.

    uv run python benchmarks/train_against_usual.py --data FOLDER -- --model resnet18

FOLDER has train/ and val/ with a folder a class. What follows `--` goes to `vertebra train`.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from itertools import chain, islice, repeat
from pathlib import Path

from records import note
from train_against_timm import Measured, run
from vertebra.bench.latency import Spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    parser.add_argument("--usual", type=Path, help=argparse.SUPPRESS)  # a recipe: be the peer
    parser.add_argument("flags", nargs="*")
    given = parser.parse_args()
    if given.usual is not None:
        print("RATE", usual_rate(given))
        return
    rounds: list[tuple[Measured, Measured]] = []
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            pair = ours(given, out), usual(given, out / "recipe.json")
        rounds.append(pair)
        print(f"round {number + 1}: vertebra {pair[0]}, usual {pair[1]}", flush=True)
    spreads = {
        name: Spread.of([getattr(a, name) / getattr(b, name) for a, b in rounds])
        for name in Measured._fields
    }
    for name, ratio in spreads.items():
        print(f"{name}: {ratio.p50:.2f} times ({ratio.p25:.2f} to {ratio.p75:.2f})")
    note(
        given.record,
        spreads["images_per_s"],
        work=f"training end to end at {given.image_size} px",
        against="torchvision's folder, usual transforms and loop",
        name=" ".join(given.flags),
        rounds=given.rounds,
        memory=spreads["peak_memory_mb"].p50,
    )


def ours(given: argparse.Namespace, out: Path) -> Measured:
    settings = {
        "length": f"{given.steps} steps",
        "selection.every": "1000000 steps",
        "schedule": "Constant",
    }
    command = [
        *(sys.executable, "-m", "vertebra", "train", str(given.data), "--recipe", "baseline"),
        *("--image-size", str(given.image_size), "--batch-size", str(given.batch_size)),
        *("--device", "cpu", "--workers", str(given.workers), "--out", str(out)),
        *chain.from_iterable(("--set", f"{path}={value}") for path, value in settings.items()),
        *given.flags,
    ]
    _, memory = run(command)
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    images, seconds, before = 0, 0.0, 0
    for each in events:
        if each["event"] == "step":
            count = (each["step"] - before) * given.batch_size
            if before >= given.steps // 5:
                images, seconds = images + count, seconds + count / each["images_per_s"]
            before = each["step"]
    return Measured(images / seconds, memory)


def usual(given: argparse.Namespace, recipe: Path) -> Measured:
    flags = ("data", "image_size", "batch_size", "steps", "workers")
    named = {"--" + name.replace("_", "-"): str(getattr(given, name)) for name in flags}
    text, memory = run(
        [sys.executable, __file__, "--usual", str(recipe), *chain.from_iterable(named.items())]
    )
    return Measured(float(re.findall(r"RATE (\S+)", text)[-1]), memory)


def usual_rate(given: argparse.Namespace) -> float:
    """Trains as the usual script does, and returns images a second."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2
    from torchvision.transforms.v2.functional import InterpolationMode

    from vertebra.recipes.codec import from_data
    from vertebra.recipes.materials import build_model
    from vertebra.recipes.recipe import Recipe

    recipe = from_data(Recipe, json.loads(given.usual.read_text()))
    preprocess = recipe.phases[0].data.preprocess
    change = v2.Compose([
        v2.RandomResizedCrop(preprocess.image_size, interpolation=InterpolationMode.BICUBIC),
        v2.RandomHorizontalFlip(),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(preprocess.mean, preprocess.std),
        v2.ToPureTensor(),
    ])  # fmt: skip
    images = ImageFolder(given.data / "train", change)
    loader = DataLoader(
        images,
        batch_size=given.batch_size,
        shuffle=True,
        num_workers=given.workers,
        drop_last=True,
        persistent_workers=given.workers > 0,
    )
    model = build_model(recipe, len(images.classes)).train()
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    began, warm_up = 0.0, given.steps // 5
    batches = chain.from_iterable(repeat(loader))
    for step, (inputs, targets) in enumerate(islice(batches, given.steps)):
        loss = loss_of(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # the reference logs every step
        if step + 1 == warm_up:
            began = time.perf_counter()
    return (given.steps - warm_up) * given.batch_size / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
