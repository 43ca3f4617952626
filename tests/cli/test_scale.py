"""`vertebra scale` and `vertebra study scale`; nothing is timed here but in one stub."""

import shlex
from pathlib import Path

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.cli.choose import choose
from vertebra.cli.flags import RecipeFlags
from vertebra.cli.scale import Arguments
from vertebra.cli.train_line import train_line
from vertebra.engine.distributed import World
from vertebra.recipes.shelf import load
from vertebra.recipes.vary import vary
from vertebra.records import read_json
from vertebra.studies import costs, family

NETWORK = [*TINY[1:-2], "--set=model.blocks=[2,2,2,2]", "--set=model.width=0.25"]
"""A network that can shrink, on the size of images that the fit chooses."""


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Families of three widths and three depths, which are soon counted."""
    monkeypatch.setattr(family, "FACTORS", (0.5, 1.0, 2.0))


@pytest.fixture
def stub(monkeypatch):
    """A device on which a network takes 1 ms for each 100,000 multiply-adds."""
    counted = costs.costs_of

    def costs_of(recipes, *, classes, measure=True, budget_s=1.0, on_progress=None):
        found = counted(recipes, classes=classes, measure=False)
        return [each._replace(latency_ms=each.macs / 1e5) if measure else each for each in found]

    monkeypatch.setattr(costs, "costs_of", costs_of)


def command_of(said) -> list[str]:
    """Returns the words of the command that is printed at the end."""
    assert said.code == 0, said.err
    return shlex.split(said.out.rstrip().splitlines()[-1])


def test_a_latency_gives_a_shortlist_and_a_command(album, stub):
    said = vertebra("scale", "--latency=20ms", "--data", album, "--image-size=16", *NETWORK)
    words = command_of(said)
    assert words[:3] == ["vertebra", "train", str(album)]
    lines = said.out.splitlines()
    assert lines[0].split() == ["member", "why", "MACs", "parameters", "latency"]
    assert len([line for line in lines if " px " in line and " ms" in line]) == 5
    assert "30 epochs of 33 images can over-fit, so depth before width" in said.out
    assert "Latency: median call of one image on" in said.out


def test_the_command_makes_the_very_recipe(album, elsewhere):
    flags = Arguments(data=str(album), set=tuple(each[6:] for each in NETWORK if "set" in each))
    chosen = choose(flags, world=World())
    wanted = vary(chosen.recipe, {"model.depth": 2.0, "data.preprocess.image_size": 24})
    words = train_line(flags, wanted, chosen.materials[-1])
    again = RecipeFlags(data=words[2], set=tuple(words[4::2]))
    assert {*words[3::2]} == {"--set"}
    assert choose(again, world=World()).recipe == wanted


def test_multiply_adds_are_a_budget_without_measuring(album, tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "interleaved", None)
    file = tmp_path / "best.json"
    said = vertebra(
        "scale", "--macs=2M", "--data", album, "--image-size=16", "--save", file, *NETWORK
    )
    assert command_of(said) == ["vertebra", "train", "--recipe", str(file)]
    best = said.out.splitlines()[1].split("  ")[0]
    assert best.startswith("width x") and "Latency" not in said.out
    assert f"depth x{load(file).model.depth:g}" in best
    assert load(file).phases[0].data.preprocess.image_size == 16


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "give one budget, as --latency 5ms or --macs 300M"),
        (["--latency=5ms", "--macs=1G"], "give one budget"),
        (["--latency=5"], "budget '5' is no amount of ms; write 5ms or 0.1s"),
        (["--macs=many"], "budget 'many' is no amount of MACs; write 300M or 1.5G"),
        (["--macs=1G", "--try=2", "--study=x"], "--study and --try both rank"),
        (["--macs=1G", "--try=0"], "try=0; give at least 1"),
        (["--macs=1G", "--study=nowhere"], "nowhere is no study"),
        (["--macs=1G", "--model=timm/resnet18"], "has no width to vary"),
    ],
)
def test_what_cannot_be_answered_is_told(flags, told, elsewhere):
    said = vertebra("scale", "--data=digits", *flags)
    assert said.code == 2
    assert told in said.err
    assert not list(elsewhere.iterdir())


def test_a_budget_for_none_names_the_member_that_costs_least(album):
    said = vertebra("scale", "--macs=1k", "--data", album, "--image-size=16", *NETWORK)
    assert said.code == 2
    told = "no member of the family fits 1 k MACs: the one that costs least, width x0.5, depth x0.5"
    assert told in said.err


def test_a_budget_for_all_says_that_a_larger_network_fits(album):
    said = vertebra("scale", "--macs=1T", "--data", album, "--image-size=16", *NETWORK)
    assert said.code == 0, said.err
    assert "The whole family fits: the largest, width x2, depth x2, 16 px, takes " in said.out


def test_dry_run_of_a_trial_shows_its_rows(album, elsewhere):
    said = vertebra(
        *["scale", "--macs=2M", "--try=2", "--try-epochs=1", "--seeds=2", "--dry-run"],
        *["--data", album, "--image-size=16", *NETWORK],
    )
    assert said.code == 0, said.err
    assert "2 rows x 2 seeds = 4 runs" in said.out
    assert ", 16 px, 1 epochs" in said.out
    assert not list(elsewhere.iterdir())


def test_dry_run_of_the_study_shows_the_grid_and_times_nothing(album, elsewhere, monkeypatch):
    monkeypatch.setattr(costs, "interleaved", None)
    said = vertebra(
        *["study", "scale", "--data", album, "--widths", "0.5", "1", "--depths", "1", "2"],
        *["--sizes", "16", "--lengths", "1", "2", "--dry-run", *NETWORK],
    )
    assert said.code == 0, said.err
    assert "8 rows x 3 seeds = 24 runs" in said.out
    assert "width x1, depth x2, 16 px, 1 epochs" in said.out
    assert not list(elsewhere.iterdir())


@pytest.mark.slow
def test_a_study_is_made_and_ranks_the_members(album, elsewhere):
    said = vertebra(
        *["study", "scale", "--data", album, "--widths", "0.5", "1", "--depths", "0.5", "1"],
        *["--sizes", "16", "--lengths", "1", "--seeds=1", "--out=study", *NETWORK],
    )
    assert said.code == 0, said.err
    assert "depth minus width" in said.out
    assert "- At 1 epochs " in said.out
    assert all(
        each["place"]["latency_ms"] > 0 for each in read_json(Path("study/study.json"))["cells"]
    )
    found = vertebra("scale", "--macs=1G", "--data", album, "--study=study", *NETWORK)
    assert found.code == 0, found.err
    assert "Ranked by the study's plane at 1 epochs" in found.out
    other = vertebra(
        *["scale", "--macs=1G", "--data", album, "--study=study", "--image-size=16", *NETWORK]
    )
    assert "stem_pool=None, and this recipe has" in other.err


@pytest.mark.slow
def test_a_trial_decides_by_its_runs(album, elsewhere):
    said = vertebra(
        *["scale", "--macs=2M", "--try=2", "--try-epochs=1", "--seeds=1", "--out=trial"],
        *["--data", album, "--image-size=16", *NETWORK],
    )
    words = command_of(said)
    assert words[:3] == ["vertebra", "train", str(album)]
    assert Path("trial/report.html").is_file()
