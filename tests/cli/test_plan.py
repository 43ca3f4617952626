"""`vertebra plan`: everything before training, and nothing of training."""

import shlex

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.cli import train
from vertebra.cli.choose import choose
from vertebra.cli.plan import seconds_in
from vertebra.engine.distributed import World
from vertebra.errors import RecipeError
from vertebra.recipes import advise, precision
from vertebra.recipes.plan import Speed
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
        " of it for evaluations",
        "peak memory   ",
        "checkpoint    1 MB",
        "output        runs/album-1",
        "fitted        data.batch_size: 64 -> 8, 33 images to learn from",
        "Next:\n  vertebra train --recipe plan.json\n",
    ],
)
def test_a_plan_tells(planned, told):
    assert told in planned[0].out


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos"])
def test_a_plan_says_whether_images_lie_on_the_device(album, interpolation):
    said = vertebra(
        "plan",
        *(album, "--recipe=baseline", *TINY, "--workers=2"),
        f"--set=data.preprocess.interpolation={interpolation}",
    )
    assert said.code == 0, said.err
    stays = interpolation == "bicubic"
    assert ("images on the device" in said.out) == stays
    assert ("2 data workers" in said.out) == (not stays)


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


@pytest.fixture
def speeds(monkeypatch):
    """A machine that makes 1e9 multiply-adds a second, without published weights."""

    def measure(prepared, *, seconds):
        step = prepared.cost.macs * prepared.recipe.phases[0].data.batch_size / 1e9
        return (Speed(step, step / 2, step, 100.0, 5.0),)

    monkeypatch.setattr(advise, "measure", measure)
    monkeypatch.setattr(advise, "weights_here", lambda: ())


SUGGESTED = ["--device=cpu", "--workers=0", "--seed=3"]


def test_a_suggestion_gives_its_reasons_and_a_command_that_makes_its_recipe(
    album, elsewhere, speeds, monkeypatch
):
    flags = ["--time=1m", "--set=optimizer.momentum=0.8", *SUGGESTED]
    saved = vertebra("plan", album, *flags, "--save=plan.json")
    assert saved.code == 0, saved.err
    assert saved.out.endswith("Next:\n  vertebra train --recipe plan.json\n")
    for told in (
        "resnetrs26 x0.25 at 32 px   chosen",
        "measuring took ",
        "epochs fit into 1 min 00 s",
        "33 images are few (fewer than 20,000",
        f"vertebra plan {album} --pretrained --seed 3",
        "of it for evaluations",
    ):
        assert told in saved.out

    said = vertebra("plan", album, *flags)
    line = said.out.splitlines()[-1].strip()
    assert "--epochs " in line
    assert "--set model.width=0.25" in line
    asked = []
    monkeypatch.setattr(train, "run", lambda arguments: asked.append(arguments) or 0)
    assert vertebra(*shlex.split(line)[1:]).code == 0
    assert choose(asked[0], world=World()).recipe == load("plan.json")
    assert load("plan.json").phases[0].optimizer.momentum == 0.8


def test_a_suggestion_is_measured_in_the_precision_that_training_would_take(
    album, elsewhere, speeds, monkeypatch
):
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(precision, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(precision, "gain", lambda recipe, device: 1.84)
    said = vertebra("plan", album, "--time=1m", "--save=plan.json", *SUGGESTED)
    assert said.code == 0, said.err
    assert "execution.precision: fp32 -> bf16, a pass is 1.8 times as fast here" in said.out
    assert load("plan.json").execution.precision == "bf16"
    said = vertebra("plan", album, "--time=1m", "--save=plan.json", "--precision=fp32", *SUGGESTED)
    assert load("plan.json").execution.precision == "fp32"


def test_a_suggestion_trains(album, elsewhere, speeds):
    said = vertebra("plan", album, "--time=1m", "--save=plan.json", *SUGGESTED)
    assert said.code == 0, said.err
    short = ["--set=length=1 step", "--set=schedule.warmup=0 steps"]
    said = vertebra("train", "--recipe=plan.json", "--out=run", *short)
    assert said.code == 0, said.err
    planned, ran = load("plan.json"), load("run")
    assert ran.model == planned.model
    assert ran.phases[0].data == planned.phases[0].data


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--time=soon"], "--time soon; give a time above zero, as 90s, 30m, 2h or 1d"),
        (["--time=0s"], "--time 0s; give a time above zero"),
        (["--time=5m", "--epochs=3"], "leave out --epochs"),
        (["--time=5m", "--recipe=digits"], "leave out --recipe"),
        (["--time=5m", "--from=china"], "leave out --from"),
        (["--time=5m", "--set=length=3 epochs"], "--time chooses the length; leave out --set"),
        (["--time=5m", "--set=model.width=1"], "or name yours with --model"),
    ],
)
def test_what_contradicts_a_time_is_refused_before_anything_is_read(flags, told):
    said = vertebra("plan", "digits", *flags)
    assert said.code == 2
    assert told in said.err
    assert said.err.count("\n") == 1


def test_a_time_that_is_too_short_is_refused_with_one_that_is_not(album, speeds):
    said = vertebra("plan", album, "--time=1s", *SUGGESTED)
    assert said.code == 2
    assert "--time 1s is too short for 33 images: resnetrs26 x0.25 at 32 px takes" in said.err


def test_times_are_read():
    read = [seconds_in(text) for text in ("90s", "30m", "2h", "1d", "1.5 h")]
    assert read == [90, 1800, 7200, 86400, 5400]
    with pytest.raises(RecipeError, match="--time -1m"):
        seconds_in("-1m")
