"""A student learns from a teacher without a label, and without an image, in seconds."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.recipes.drawn import CLASSES, in_memory, tiny

from vertebra.data.patches import Patches
from vertebra.engine.optimizers import SGD
from vertebra.recipes.materials import Materials
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes
from vertebra.records import read_events
from vertebra.report.evaluation import read_evaluation

pytestmark = pytest.mark.usefixtures("no_page")

PLAIN = {"optimizer": SGD(lr=0.05), "data.batch_size": 24, "length": "30 steps"}
CHANCE = 1 / len(CLASSES)


@pytest.fixture(scope="module")
def materials() -> Materials:
    return in_memory(train=16, val=2, test=20)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    return tiny(tmp_path_factory.mktemp("nowhere"), {**PLAIN, "selection.every": "20 steps"})


@pytest.fixture(scope="module")
def teacher(recipe, materials, tmp_path_factory) -> str:
    """A run that tells the places of the square apart."""
    folder = tmp_path_factory.mktemp("smoke") / "teacher"
    record = run(recipe, folder, prepared=prepare(recipe, materials=(materials,)))
    assert record.figures["top1"] > 0.8
    return str(folder)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("kd", {"optimizer": SGD(lr=0.05)}),
        ("kd", {"optimizer": SGD(lr=0.05), "method.is_consistent": False}),
        ("funmatch", {"optimizer.lr": 0.01, "data.augment.crop": "Resize"}),
    ],
    ids=["kd", "fixed", "funmatch"],
)
def test_a_student_learns_from_a_teacher(method, changes, recipe, materials, teacher, tmp_path):
    made, _ = learn(recipe, method, Wishes(teachers=(teacher,)))
    made = vary(made, {**changes, "seed": 3})
    # labels that are wrong where they have a share, and of no use where they have none
    split = materials.splits.train
    labels = split.labels if method == "kd" else (split.labels + 1) % len(CLASSES)
    given = replace(
        materials, splits=replace(materials.splits, train=replace(split, labels=labels))
    )
    record = run(made, tmp_path / "run", prepared=prepare(made, materials=(given,)))
    assert record.figures["top1"] >= 0.7 > 2 * CHANCE


def test_a_student_learns_from_patches_of_a_picture(recipe, materials, teacher, tmp_path):
    """Not yet to tell classes apart, in so short a time; but to answer as its teacher does."""
    noise = np.random.default_rng(0).integers(256, size=(100, 150, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    picture = Patches(image=str(tmp_path / "picture.png"))
    made, _ = learn(recipe, "single-image", Wishes(teachers=(teacher,), learn_from=picture))
    changes = {"optimizer.lr": 0.01, "data.learn_from.count": 96, "length": "12 steps"}
    made = vary(made, changes)
    patches = made.phases[0].data.learn_from.open(seed=0)
    prepared = prepare(made, materials=(replace(materials, elsewhere=patches),))
    assert prepared.steps_per_epoch(0) == 4
    run(made, tmp_path / "run", prepared=prepared)
    events = read_events(tmp_path / "run" / "metrics.jsonl", "step")
    losses = [event["parts"]["KL"] for event in events]
    assert sum(losses[-3:]) < sum(losses[:3]) / 2
    judged = read_evaluation(tmp_path / "run" / "evaluation.json")
    assert (judged.split, judged.n) == ("test", 60), "on the data set's own images"
