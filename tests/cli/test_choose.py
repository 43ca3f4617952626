"""From flags to a recipe of several phases, and to one that learns from images beside."""

import pytest

from vertebra.cli.choose import choose
from vertebra.cli.flags import RecipeFlags
from vertebra.data.unlabelled import Unlabelled
from vertebra.engine.distributed import World
from vertebra.errors import RecipeError
from vertebra.recipes.shelf import load


def chosen(album, **flags):
    return choose(RecipeFlags(data=str(album), device="cpu", **flags), world=World()).recipe


def test_a_flag_or_a_setting_is_for_every_phase_and_a_full_path_for_one(album):
    recipe = chosen(
        album,
        method="noisy-student",
        unlabelled=str(album),
        batch_size=6,
        set=("data.fraction=0.5", "phases.1.data.beside.ratio=2", "phases.0.clip_norm=1"),
    )
    assert [phase.data.fraction for phase in recipe.phases] == [0.5, 0.5]
    assert [phase.clip_norm for phase in recipe.phases] == [1.0, None]
    assert recipe.phases[1].data.beside.ratio == 2
    assert [phase.data.batch_size for phase in recipe.phases] == [6, 6]  # and not fitted again
    rate = load("small").phases[0].optimizer.lr
    assert [phase.optimizer.lr for phase in recipe.phases] == pytest.approx([rate * 6 / 64] * 2)


def test_a_named_recipe_takes_its_pool_from_the_flag_or_from_the_data(album):
    recipe = chosen(album, recipe="fixmatch", epochs=100.0, set=("schedule=Cosine",))
    assert recipe.phases[0].data.beside.images is None
    flags = {"recipe": "fixmatch", "epochs": 100.0, "set": ("schedule=Cosine",)}
    recipe = chosen(album, unlabelled=str(album / "val"), **flags)
    assert recipe.phases[0].data.beside.images == Unlabelled(source=str(album / "val"))
    with pytest.raises(RecipeError, match="--teacher is of no use to the recipe fixmatch"):
        chosen(album, teacher=(str(album),), **flags)
