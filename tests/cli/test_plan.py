"""`vertebra plan`: everything before training, and nothing of training."""

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.recipes.shelf import load


@pytest.fixture(scope="module")
def planned(album, tmp_path_factory):
    """The words of a plan, its stored recipe, and the folder in which it was made."""
    folder = tmp_path_factory.mktemp("plan")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = vertebra("plan", album, "--epochs=2", "--save=plan.json", *TINY)
    assert said.code == 0, said.err
    return said, folder


@pytest.mark.parametrize(
    "told",
    [
        "train      36     36         0",
        "classes   3: left, middle, right",
        "81.58 k parameters, 151.4 k MACs an image",
        "length        2.182 epochs, 9 steps",
        "step time     ",
        "total time    ",
        "peak memory   ",
        "checkpoint    1 MB",
        "output        runs/album-1",
        "fitted        data.batch_size: 64 -> 8, 33 images to learn from",
        "Next:\n  vertebra train --recipe plan.json\n",
    ],
)
def test_a_plan_tells(planned, told):
    assert told in planned[0].out


def test_a_plan_leaves_nothing_but_the_recipe_it_was_asked_for(planned):
    assert [path.name for path in planned[1].rglob("*")] == ["plan.json"]


def test_the_saved_recipe_runs_as_planned(planned, tmp_path):
    _, folder = planned
    said = vertebra("train", "--recipe", folder / "plan.json", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert load(tmp_path / "run") == load(folder / "plan.json")


def test_without_a_file_the_next_command_has_the_same_flags(album, elsewhere):
    said = vertebra("plan", album, "--lr=0.02", "--set=length=1 step", *TINY)
    assert said.code == 0, said.err
    line = said.out.splitlines()[-1]
    assert line.startswith(f"  vertebra train {album} --image-size 16 --lr 0.02 --device cpu")
    assert "--set 'length=1 step'" in line
    assert not list(elsewhere.iterdir())
