import pytest
from tests.recipes.drawn import in_memory, tiny

from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop
from vertebra.data.mixing import Mixing
from vertebra.data.views import View
from vertebra.errors import CheckpointError, RecipeError
from vertebra.methods.co_training import CoTrainingSpec
from vertebra.methods.supervised import CrossEntropy
from vertebra.models.divide import DividedSpec
from vertebra.models.ensemble import EnsembleSpec
from vertebra.models.shelf import find_spec, title
from vertebra.models.timm import TimmSpec
from vertebra.recipes.fit import fit
from vertebra.recipes.follow import follow
from vertebra.recipes.recipe import Pretrained, Recipe
from vertebra.recipes.shelf import load
from vertebra.recipes.start import look_up
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import differences, leaves, vary
from vertebra.recipes.ways import co_training
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes


def divided(changes=None) -> Recipe:
    return vary(learn(load("small"), "co-training", Wishes()).recipe, changes or {})


def test_the_model_is_divided_and_each_network_gets_a_view():
    before = load("small")
    recipe, notes = learn(before, "co-training", Wishes())
    phase = recipe.phases[0]
    assert recipe.model == DividedSpec(whole=before.model, networks=2)
    assert phase.method == CoTrainingSpec(loss=CrossEntropy(smoothing=0.1))
    assert phase.data.views == (View(augment=phase.data.augment),)
    assert phase.optimizer == before.phases[0].optimizer
    assert notes == (
        "model: resnetrs26 with width=0.25 -> 2 x resnetrs26 with width=0.1768, which together "
        "cost as much",
        "data.views: a version of its own for each of 2 networks",
    )
    recipe.check()


def test_mixing_stays_with_the_first_version_that_all_may_be_mixed_alike():
    before = vary(load("small"), {"data.augment.mixing": Mixing(mixup=0.2)})
    data = learn(before, "co-training", Wishes()).recipe.phases[0].data
    assert data.augment.mixing == Mixing(mixup=0.2)
    assert [view.augment.mixing for view in data.views] == [None]


def test_regularisation_weakens_decay_only_where_asked_for():
    before = vary(load("small"), {"dropout": 0.4, "model": find_spec("resnet18")})
    recipe, notes = learn(before, "co-training", Wishes())
    assert recipe.dropout == 0.2
    assert "dropout: 0.4 -> 0.2, less for smaller networks" in notes
    assert recipe.phases[0].optimizer.weight_decay == 1e-4
    weak, notes = co_training.adapt(before, Wishes(), weaken_decay=True)
    assert weak.phases[0].optimizer.weight_decay == pytest.approx(0.6065e-4, rel=1e-4)
    assert "weight_decay: 0.0001 -> 6.06531e-05, less for smaller networks" in notes


def test_four_networks_are_asked_for_by_a_setting_and_the_views_follow():
    changed = divided({"model.networks": 4})
    with pytest.raises(RecipeError, match="adds 1 to the first; give 3 views"):
        changed.check()
    recipe, notes = follow(changed)
    recipe.check()
    assert title(recipe.model) == "4 x resnetrs26 with width=0.125"
    assert recipe.phases[0].data.views == 3 * divided().phases[0].data.views
    assert notes == ("data.views: a version of its own for each of 4 networks",)


def test_views_are_changed_as_the_first_version_is():
    augment = Augment(crop=PadCrop(), flip=0.0)
    recipe, _ = follow(divided({"data.augment": augment}))
    assert recipe.phases[0].data.views == (View(augment=augment),)


@pytest.mark.parametrize("path", ["data.views", "phases.0.data.views"])
def test_views_that_somebody_has_set_stay(path):
    own = divided({"data.views": (View(augment=Augment()),)})
    assert follow(own, fixed={path}) == (own, ())


def test_what_is_not_co_trained_is_left_alone():
    for recipe in (load("small"), load("digits"), divided({"method": "SupervisedSpec"})):
        assert follow(recipe) == (recipe, ())


def test_an_ensemble_stays_as_it_is():
    model = EnsembleSpec(member=TimmSpec(name="test_resnet"), networks=3)
    recipe, notes = learn(vary(load("small"), {"model": model}), "co-training", Wishes())
    assert recipe.model == model
    assert notes == ("data.views: a version of its own for each of 3 networks",)
    recipe.check()


def test_a_recipe_that_learns_so_already_stays():
    for before in (divided(), load("co-training")):
        assert learn(before, "co-training", Wishes()) == (before, ())


def test_a_model_that_cannot_be_divided_is_refused():
    before = vary(load("small"), {"model": TimmSpec(name="test_resnet")})
    with pytest.raises(RecipeError, match="timm/test_resnet has no width to divide"):
        learn(before, "co-training", Wishes())


def test_a_teacher_is_refused():
    with pytest.raises(RecipeError, match="--teacher is of no use to the method co-training"):
        learn(load("small"), "co-training", Wishes(teachers=("run",)))


def test_a_recipe_without_supervised_phases_is_refused():
    with pytest.raises(RecipeError, match="no phase of recipe 'cosub' is supervised"):
        learn(vary(load("cosub"), {"model": find_spec("resnet18")}), "co-training", Wishes())


def test_one_network_is_refused_before_any_image_is_read():
    with pytest.raises(RecipeError, match="co-training needs several networks and the model is"):
        vary(load("small"), {"method": "CoTrainingSpec"}).check()


def test_the_stem_inside_is_made_finer_for_small_images():
    recipe, notes = fit(divided(), in_memory(train=12, val=2, test=2))
    assert recipe.model.whole.stem_pool is None
    assert "model.whole.stem_pool: conv -> None, at 32 px it would leave maps of 1 px" in notes


def test_the_optimizer_suits_the_networks_inside():
    recipe, notes = suit(load("small"), DividedSpec(whole=find_spec("convnext_tiny")))
    assert type(recipe.phases[0].optimizer).__name__ == "AdamW"
    assert len(notes) == 1


def test_published_weights_are_refused_since_networks_start_apart():
    with pytest.raises(CheckpointError, match=r"2 x resnetrs26 .* must start apart; train it from"):
        look_up(divided(), Pretrained())


def test_the_recipe_is_that_of_the_authors():
    found = leaves(load("co-training"))
    expected = {
        "model.networks": 2,
        "model.whole.groups": 64,
        "method.weight": 0.5,
        "method.floor": 0.005,
        "method.warmup": 0.5,
        "data.batch_size": 256,
        "data.augment.mixing.mixup": 0.2,
        "optimizer.lr": 0.1,
        "optimizer.weight_decay": 1e-4,
        "schedule.final": 1e-4,
        "schedule.warmup": "5 epochs",
        "length": "120 epochs",
    }
    assert {path: found[path] for path in expected} == expected
    wide = differences(load("co-training"), load("co-training-wide"))
    assert wide["model.member.group_width"] == (None, 128)


def test_nothing_but_the_model_and_what_learns_it_differs(album):
    before = tiny(album)
    changed = differences(before, learn(before, "co-training", Wishes()).recipe)
    assert all(path.startswith(("model", "method", "data.views")) for path in changed)
