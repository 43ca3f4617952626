"""Each way to learn against plain supervised training of the same small network on the same images.

Prints accuracy on the reported split with a 95% t-interval over seeds, beside the plain baseline at
equal epochs and at several times as many (a step of most methods costs more than a plain one), and,
with --cost, what a step takes in time and memory. Small scale: what holds for a network of 80
thousand weights and a few epochs of 7,200 images need not hold for ImageNet.

    uv run python benchmarks/methods_on_cifar.py --data cifar10-small.zip --out FOLDER
    uv run python benchmarks/methods_on_cifar.py --data cifar10-small.zip --out FOLDER --cost
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch
from scipy.stats import t

from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop
from vertebra.data.label_noise import LabelNoise
from vertebra.data.patches import Patches
from vertebra.data.preprocess import Preprocess
from vertebra.data.unlabelled import Unlabelled
from vertebra.duration import epochs
from vertebra.engine.execution import Execution
from vertebra.engine.optimizers import SGD
from vertebra.engine.schedules import Cosine
from vertebra.models.resnet import ResNetSpec
from vertebra.recipes.codec import from_data
from vertebra.recipes.recipe import Data, Phase, Recipe, Selection
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.single_image import PHOTO
from vertebra.recipes.ways.wishes import Wishes
from vertebra.records import RunDirectory, RunRecord, read_json, read_record

NETWORK = ResNetSpec(blocks=(1, 1, 1, 1), block="basic", stem_pool=None, width=0.125)
"""ResNet-10, an eighth as wide, without the stem's pool."""

COST_STEPS = 24


@dataclass(frozen=True)
class Row:
    """A way to learn, and how many times as long as was asked for."""

    way: str
    times: int = 1

    @property
    def name(self) -> str:
        return self.way if self.times == 1 and self.way != PLAIN else f"{self.way} x{self.times}"


PLAIN = "plain"

TAUGHT = ("kd", "funmatch", "single-image", "arch-net")
"""Methods that learn from a teacher, which is trained first, four times as wide."""


@dataclass(frozen=True)
class Question:
    """The baseline, at several lengths, and what is meant to improve on it.

    changes: to the recipe of all.
    longer:  the runs are, in the epochs that were asked for: fewer images, more epochs.
    """

    rows: tuple[Row, ...]
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    longer: int = 1
    has_pool: bool = False


QUESTIONS: Mapping[str, Question] = {
    "all labels": Question(
        (
            *(Row(PLAIN, times) for times in (1, 2, 4)),
            *map(Row, ("gradient-tampering", "cosub", "mixskd", "co-training", *TAUGHT)),
            Row("single-image", 4),
        ),
    ),
    "a tenth of the labels": Question(
        (*(Row(PLAIN, times) for times in (1, 4, 23)), Row("noisy-student"), Row("fixmatch")),
        {"data.fraction": 0.1},
        longer=10,
        has_pool=True,
    ),
    "two fifths of the labels wrong": Question(
        (Row(PLAIN), Row("noisy-labels")), {"data.label_noise": LabelNoise(rate=0.4)}
    ),
}

IMAGES, PATCHES = 7_200, Patches(image=PHOTO).count
"""In an epoch of the data, and in one of a picture's patches."""


@dataclass(frozen=True)
class Job:
    """A run and where it lies; one that has finished there is read instead."""

    recipe: Recipe
    directory: Path


def main() -> None:
    given = arguments()
    teacher = given.out / "teacher"
    if "all labels" in given.questions:
        finished(Job(teacher_recipe(given.data, 3 * given.epochs), teacher))
    for name in given.questions:
        question = QUESTIONS[name]
        if given.cost:
            ways = dict.fromkeys(row.way for row in asked(question, given))
            recipes = {way: recipe_for(Row(way), question, given, teacher, 0) for way in ways}
            print_costs(name, recipes, given)
        else:
            print_accuracies(name, question, given, teacher)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="finished runs found here are read")
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=list(QUESTIONS))
    parser.add_argument("--rows", nargs="+", default=[], help="these and the baseline only")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cost", action="store_true", help="time and memory of a step instead")
    parser.add_argument("--rounds", type=int, default=3, help="of --cost")
    return parser.parse_args()


def asked(question: Question, given: argparse.Namespace) -> Sequence[Row]:
    """Returns the rows that are wanted; the baseline, which comes first, always is."""
    baseline, *others = question.rows
    return [baseline, *(row for row in others if not given.rows or row.name in given.rows)]


def print_accuracies(
    name: str, question: Question, given: argparse.Namespace, teacher: Path
) -> None:
    recipes = {
        row.name: [recipe_for(row, question, given, teacher, seed) for seed in range(given.seeds)]
        for row in asked(question, given)
    }
    folder = given.out / name.replace(" ", "-")
    jobs = [
        Job(each, folder / f"{row.replace(' ', '-')}-{seed}")
        for row, seeds in recipes.items()
        for seed, each in enumerate(seeds)
    ]
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        records = iter(list(pool.map(finished, jobs)))
    print(f"\n{name}\n\n| | top-1, 95% interval | each seed | minus plain, paired |")
    print("|---|---|---|---|")
    plain_figures: list[float] = []
    for row, seeds in recipes.items():
        figures = [next(records).figures["top1"] for _ in seeds]
        plain_figures = plain_figures or figures
        gains = [ours - theirs for ours, theirs in zip(figures, plain_figures, strict=True)]
        paired = "" if figures is plain_figures else interval(gains)
        shown = ", ".join(f"{value:.2%}" for value in figures)
        print(f"| {row} | {interval(figures)} | {shown} | {paired} |", flush=True)


def print_costs(name: str, recipes: Mapping[str, Recipe], given: argparse.Namespace) -> None:
    """Short runs in processes of their own, the baseline and the methods in turn."""
    found: dict[str, list[RunRecord]] = {row: [] for row in recipes}
    for _ in range(given.rounds):
        for row, recipe in recipes.items():
            place = given.out / "cost"
            shutil.rmtree(place, ignore_errors=True)
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                found[row].append(alone.submit(finished, Job(short(recipe), place)).result())
    print(f"\n{name}\n\n| | time of an image | each round | peak memory |\n|---|---|---|---|")
    for row, records in found.items():
        pairs = list(zip(found[PLAIN], records, strict=True))
        times = [plain.images_per_second / each.images_per_second for plain, each in pairs]
        memory = median(each.peak_memory_mb / plain.peak_memory_mb for plain, each in pairs)
        rounds = ", ".join(f"{time:.2f}" for time in times)
        print(f"| {row} | {median(times):.2f} | {rounds} | {memory:.2f} |", flush=True)


def baseline(data: Path, length: float, seed: int) -> Recipe:
    """Returns plain supervised training."""
    preprocess = Preprocess(image_size=32, crop_fraction=1.0)
    return Recipe(
        name="plain",
        source="for comparison",
        model=NETWORK,
        phases=(
            Phase(
                data=Data(
                    source=str(data.absolute()),
                    preprocess=preprocess,
                    augment=Augment(crop=PadCrop(padding=4)),
                    batch_size=128,
                ),
                optimizer=SGD(lr=0.1, nesterov=True, weight_decay=5e-4),
                schedule=Cosine(warmup=epochs(round(length / 10, 2))),
                length=epochs(length),
            ),
        ),
        selection=Selection(every=epochs(length), keep="last"),
        execution=Execution(device="cpu", workers=0),
        seed=seed,
    )


def teacher_recipe(data: Path, length: float) -> Recipe:
    """Returns the training of a teacher four times as wide."""
    return vary(baseline(data, length, 100), {"model.width": 4 * NETWORK.width})


def recipe_for(
    row: Row, question: Question, given: argparse.Namespace, teacher: Path, seed: int
) -> Recipe:
    """Returns the baseline made to learn in the row's way, as `vertebra train --method` does."""
    length = given.epochs * question.longer * row.times
    if row.way == "single-image":
        length = round(length * IMAGES / PATCHES, 3)  # as many images in all
    plain = vary(baseline(given.data, length, seed), question.changes)
    if row.way == PLAIN:
        return plain
    wishes = Wishes(
        teachers=(str(teacher.absolute()),) if row.way in TAUGHT else (),
        unlabelled=Unlabelled(source=str(given.data.absolute())) if question.has_pool else None,
    )
    return learn(plain, row.way, wishes).recipe


def short(recipe: Recipe) -> Recipe:
    changes = {
        f"phases.{place}.{path}": value
        for place in range(len(recipe.phases))
        for path, value in (("length", f"{COST_STEPS} steps"), ("schedule.warmup", "0 steps"))
    }
    return vary(recipe, {**changes, "selection.every": f"{COST_STEPS} steps"})


def finished(job: Job) -> RunRecord:
    torch.set_num_threads(1)  # a run a core
    place = RunDirectory(job.directory)
    if not place.record.is_file():
        shutil.rmtree(job.directory, ignore_errors=True)  # one that was cut off begins anew
        run(job.recipe, job.directory)
    elif from_data(Recipe, read_json(place.recipe)) != job.recipe:
        sys.exit(f"{job.directory} holds a run of another recipe; give another --out")
    made = read_record(place)
    print(
        f"{job.directory.name}: {made.figures['top1']:.2%}, {made.train_seconds:.0f} s", flush=True
    )
    return made


def interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.2%}"
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.2%} ± {half:.2%}"


if __name__ == "__main__":
    main()
