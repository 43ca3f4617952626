"""The same small network for the same epochs with two recipes, `baseline` and `resnet-rs`.

Prints accuracy on the reported split with a 95% t-interval over seeds, the paired difference, and
training times. Small scale: what holds for ten epochs of 7,200 images need not hold for 350 epochs
of a million.

    uv run python benchmarks/recipes_on_cifar.py --data cifar10-small.zip --out FOLDER
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev

import torch
from scipy.stats import t

from vertebra.models.resnet import ResNetSpec
from vertebra.recipes import load
from vertebra.recipes.fit import with_batch_size
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary
from vertebra.records import RunDirectory, RunRecord, read_record

RECIPES = ("baseline", "resnet-rs")

NETWORK = ResNetSpec(
    blocks=(1, 1, 1, 1), block="basic", form="D", stem_pool=None, squeeze=0.25, width=0.25
)
"""ResNet-10 with the tweaks of ResNet-RS, a quarter as wide, without the stem's pool."""

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="finished runs found here are read")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    jobs = [
        (recipe(name, given.data, given.epochs, seed), given.out / f"{name}-{seed}")
        for seed in range(given.seeds)
        for name in RECIPES
    ]
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        made = list(pool.map(record, *zip(*jobs, strict=True)))
    records = {name: made[place :: len(RECIPES)] for place, name in enumerate(RECIPES)}
    print("| recipe | top-1, 95% interval over seeds | each seed | training, s |")
    print("|---|---|---|---|")
    for name, each in records.items():
        accuracies = [one.figures["top1"] for one in each]
        seconds = mean(one.train_seconds for one in each)
        shown = ", ".join(f"{value:.2%}" for value in accuracies)
        print(f"| {name} | {interval(accuracies)} | {shown} | {seconds:.0f} |")
    pairs = zip(records["resnet-rs"], records["baseline"], strict=True)
    gains = [ours.figures["top1"] - theirs.figures["top1"] for ours, theirs in pairs]
    print(f"\nresnet-rs minus baseline, paired by seed: {interval(gains)}")


def recipe(name: str, data: Path, epochs: float, seed: int) -> Recipe:
    """Returns the published recipe on this network, these images and this length; all else as
    published."""
    chosen = with_batch_size(load(name), BATCH)
    augment = chosen.phases[0].data.augment
    if augment.rand_augment is not None:  # its moves are in pixels of ImageNet's images
        augment = replace(augment, rand_augment=replace(augment.rand_augment, reference_px=224))
    changes = {
        "model": NETWORK,
        "data.source": str(data),
        "data.preprocess.image_size": 32,
        "data.preprocess.crop_fraction": 1.0,
        "data.augment": augment,
        "length": f"{epochs:g} epochs",
        "seed": seed,
    }
    if name == "resnet-rs":
        changes["schedule.warmup"] = f"{epochs / 10:g} epochs"
    return vary(chosen, changes)


def record(recipe: Recipe, directory: Path) -> RunRecord:
    torch.set_num_threads(1)  # a run a core
    place = RunDirectory(directory)
    made = read_record(place) if place.record.is_file() else run(recipe, directory)
    print(json.dumps({"run": directory.name, "top1": made.figures["top1"]}), flush=True)
    return made


def interval(values: list[float]) -> str:
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.2%} ± {half:.2%}"


if __name__ == "__main__":
    main()
