"""Learning from images without labels learns: few labels, many images, a second or two."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.recipes.drawn import CLASSES, in_memory, tiny

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside, PseudoLabels
from vertebra.data.crops import PadCrop
from vertebra.data.fraction import fraction
from vertebra.data.randaugment import RandAugment
from vertebra.data.views import View
from vertebra.methods.fixmatch import FixMatchSpec
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import run

pytestmark = pytest.mark.usefixtures("no_page")

PLAIN = Augment(crop=PadCrop(padding=1), flip=0.0)
STRONG = replace(PLAIN, rand_augment=RandAugment(count=1, magnitude=4, reference_px=224))
SETTINGS = {
    "data.batch_size": 12,
    "data.augment": PLAIN,
    "length": "30 steps",
    "optimizer.lr": 0.05,
    "selection.every": "30 steps",
    "selection.keep": "last",
}


def top1(recipe, folder):
    """Returns what a recipe gets right that learns from a quarter of the labels."""
    found = in_memory(train=16, val=2, test=20)
    train = found.splits.train
    materials = replace(
        found,
        splits=replace(found.splits, train=fraction(train, 0.25, seed=0)),
        beside=train.unlabelled(),
    )
    each = (materials,) * len(recipe.phases)
    return run(recipe, folder, prepared=prepare(recipe, materials=each)).figures["top1"]


def test_a_student_learns_from_its_teacher(tmp_path):
    teacher = tiny(Path("drawn"), SETTINGS)
    (phase,) = teacher.phases
    pool = Beside(augment=STRONG, ratio=2, labels=PseudoLabels())
    student = replace(
        phase,
        data=replace(phase.data, augment=STRONG, beside=pool),
        method=NoisyStudentSpec(),
        takes="nothing",
    )
    both = replace(teacher, phases=(phase, student))
    assert top1(both, tmp_path / "run") >= 0.7 > 2 / len(CLASSES)


def test_a_network_learns_from_its_own_answers(tmp_path):
    pool = Beside(augment=PLAIN, ratio=2, views=(View(augment=STRONG),))
    recipe = tiny(
        Path("drawn"),
        {**SETTINGS, "data.beside": pool, "method": FixMatchSpec(threshold=0.8)},
    )
    assert top1(recipe, tmp_path / "run") >= 0.7 > 2 / len(CLASSES)
