import pytest

from vertebra.data.preprocess import Preprocess
from vertebra.data.unlabelled import Unlabelled
from vertebra.engine.averaging import Averaging
from vertebra.errors import RecipeError
from vertebra.methods.fixmatch import FixMatchSpec
from vertebra.methods.supervised import CrossEntropy
from vertebra.models.shelf import find_spec
from vertebra.recipes.shelf import load
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import leaves, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

POOL = Unlabelled(source="pool")
GIVEN = Wishes(unlabelled=POOL)


@pytest.mark.parametrize("name", ["resnet50", "levit_128s", "timm/vit_tiny_patch16_224"])
def test_any_model_gets_a_plain_and_a_strong_version(name):
    before, _ = suit(load("small"), find_spec(name))
    recipe, notes = learn(before, "fixmatch", GIVEN)
    recipe.check()
    (phase,) = recipe.phases
    beside, augment = phase.data.beside, phase.data.augment
    assert phase.method == FixMatchSpec(loss=CrossEntropy(), threshold=0.95, weight=1)
    assert (beside.images, beside.ratio, beside.labels) == (POOL, 7, None)
    assert augment == beside.augment
    assert augment.crop == before.phases[0].data.augment.crop
    assert augment.rand_augment is augment.erase is augment.mixing is None
    (strong,) = beside.views
    assert strong.augment.rand_augment.count == 2
    assert strong.augment.erase.probability == 1
    assert notes == (
        "data.beside: 7 images without labels beside each labelled one, in two versions",
        "data.augment: crop and flip only; what is stronger is for the second version",
        "method.loss.smoothing: 0.1 -> 0, else it is never sure",
    )


def test_weights_are_averaged_where_they_are_not():
    before = vary(load("small"), {"averaging": None})
    recipe, notes = learn(before, "fixmatch", GIVEN)
    assert recipe.phases[0].averaging == Averaging(decay=0.999)
    assert notes[-1].startswith("averaging: ")


def test_images_with_alpha_are_covered_only():
    alpha = Preprocess.for_channels(4)
    before = vary(load("small"), {"data.augment.rand_augment": None, "data.preprocess": alpha})
    recipe, _ = learn(before, "fixmatch", GIVEN)
    recipe.check()
    assert recipe.phases[0].data.beside.views[0].augment.rand_augment is None


def test_a_recipe_that_learns_so_already_takes_the_images():
    before = load("fixmatch")
    assert before.phases[0].data.beside.images is None
    recipe, notes = learn(before, "fixmatch", GIVEN)
    assert recipe == vary(before, {"data.beside.images": POOL})
    assert notes == ()


def test_what_it_needs_and_what_it_cannot_use_is_said():
    with pytest.raises(RecipeError, match="give them with --unlabelled PATH"):
        learn(load("small"), "fixmatch", Wishes())
    with pytest.raises(RecipeError, match="--teacher is of no use to the method fixmatch"):
        learn(load("small"), "fixmatch", GIVEN._replace(teachers=("run",)))
    with pytest.raises(
        RecipeError, match="learns by CosubSpec; choose a recipe that is supervised"
    ):
        learn(load("cosub"), "fixmatch", GIVEN)


def test_the_recipe_is_that_of_the_authors_where_we_can():
    found = leaves(load("fixmatch"))
    expected = {
        "data.fraction": 0.1,
        "data.batch_size": 1024,
        "data.beside.ratio": 5,
        "method.threshold": 0.7,
        "method.weight": 10.0,
        "optimizer.lr": 0.1 * 1024 / 256,
        "optimizer.weight_decay": 3e-4,
        "schedule.milestones": [f"{each} epochs" for each in (500, 1000, 1500, 2000, 2500)],
        "schedule.warmup": "50 epochs",
        "length": "3000 epochs",
        "averaging.decay": 0.999,
    }
    assert {path: found[path] for path in expected} == expected
