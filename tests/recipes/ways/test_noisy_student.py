import pytest

from vertebra.data.beside import PseudoLabels
from vertebra.data.unlabelled import Unlabelled
from vertebra.errors import RecipeError
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.methods.supervised import BinaryCrossEntropy, CrossEntropy
from vertebra.models.shelf import find_spec
from vertebra.recipes.recipe import Pretrained
from vertebra.recipes.shelf import load
from vertebra.recipes.suit import suit
from vertebra.recipes.vary import leaves, vary
from vertebra.recipes.ways.shelf import learn
from vertebra.recipes.ways.wishes import Wishes

POOL = Unlabelled(source="pool")
GIVEN = Wishes(unlabelled=POOL)


def test_without_a_run_the_recipe_makes_a_teacher_and_then_a_fresh_student():
    before = load("small")
    recipe, notes = learn(before, "noisy-student", GIVEN)
    recipe.check()
    teacher, student = recipe.phases
    assert teacher == before.phases[0]
    assert student.takes == "nothing"
    assert student.method == NoisyStudentSpec(loss=CrossEntropy(smoothing=0.1))
    assert student.data.beside.images == POOL
    assert student.data.beside.labels == PseudoLabels(teacher=None, threshold=0.3, hard=False)
    assert student.data.beside.ratio == 3
    assert student.data.beside.augment == student.data.augment == teacher.data.augment
    assert (recipe.dropout, recipe.model.stochastic_depth) == (0.2, 0.2)
    assert notes == (
        "dropout: 0 -> 0.2, noise for the student",
        "model.stochastic_depth: 0 -> 0.2, noise for the student",
        "phases: what was the last one is the teacher; then a student, a fresh one",
    )


def test_with_a_run_there_is_only_the_student():
    recipe, notes = learn(load("small"), "noisy-student", GIVEN._replace(teachers=("runs/a",)))
    recipe.check()
    (student,) = recipe.phases
    assert student.data.beside.labels.teacher == "runs/a"
    assert notes[-1] == "data.beside: 3 images for each labelled one, labelled by runs/a"


def test_noise_that_is_there_stays_and_what_is_missing_comes():
    plain = {"data.augment.rand_augment": None, "dropout": 0.4, "model.stochastic_depth": 0.1}
    recipe, notes = learn(vary(load("small"), plain), "noisy-student", GIVEN)
    teacher, student = recipe.phases
    assert (recipe.dropout, recipe.model.stochastic_depth) == (0.4, 0.1)
    assert teacher.data.augment.rand_augment is None
    assert student.data.augment.rand_augment == student.data.beside.augment.rand_augment
    assert student.data.augment.rand_augment.count == 2
    assert notes[0] == "rand_augment: 2 operations on the student's images"


def test_mixing_is_for_labelled_images_only():
    recipe, _ = learn(load("bag-of-tricks"), "noisy-student", GIVEN)
    student = recipe.phases[1]
    assert student.data.augment.mixing is not None
    assert student.data.beside.augment.mixing is None


@pytest.mark.parametrize("name", ["ghostnet_100", "levit_128s", "timm/vit_tiny_patch16_224"])
def test_any_model_can_be_a_student(name):
    before, _ = suit(load("small"), find_spec(name))
    learn(before, "noisy-student", GIVEN).recipe.check()


def test_the_loss_of_the_recipe_stays():
    loss = BinaryCrossEntropy()
    recipe, _ = learn(vary(load("small"), {"method.loss": loss}), "noisy-student", GIVEN)
    assert recipe.phases[1].method.loss == loss


def test_a_student_of_pretrained_weights_goes_on_from_its_teacher():
    before = vary(load("small"), {"pretrained": Pretrained()})
    recipe, notes = learn(before, "noisy-student", GIVEN)
    assert recipe.phases[1].takes == "model"
    assert notes[-1].endswith("then a student, which goes on from it")


def test_a_recipe_that_learns_so_already_takes_images_and_run():
    before = load("resnet-rs-semi")
    recipe, _ = learn(before, "noisy-student", Wishes(unlabelled=POOL, teachers=("runs/a",)))
    changes = {"data.beside.images": POOL, "data.beside.labels.teacher": "runs/a"}
    assert recipe == vary(before, changes)
    with pytest.raises(RecipeError, match="--teacher is of no use to the recipe noisy-student"):
        learn(load("noisy-student"), "noisy-student", Wishes(teachers=("runs/a",)))


def test_what_it_needs_and_what_it_cannot_use_is_said():
    with pytest.raises(RecipeError, match="give them with --unlabelled PATH"):
        learn(load("small"), "noisy-student", Wishes())
    with pytest.raises(RecipeError, match="--teacher is given 2 times; give one"):
        learn(load("small"), "noisy-student", GIVEN._replace(teachers=("a", "b")))
    with pytest.raises(
        RecipeError, match="learns by CosubSpec; choose a recipe that is supervised"
    ):
        learn(load("cosub"), "noisy-student", GIVEN)


def test_the_recipes_are_those_of_the_authors_where_we_can():
    found = leaves(load("noisy-student"))
    expected = {
        "model.stochastic_depth": 0.2,
        "dropout": 0.2,
        "phases.0.length": "350 epochs",
        "phases.1.length": "700 epochs",
        "phases.1.data.batch_size": 4096,
        "phases.1.data.beside.ratio": 1,
        "phases.1.data.beside.labels.threshold": 0.3,
        "phases.1.data.beside.labels.per_class": 130_000,
        "phases.1.data.beside.labels.hard": False,
        "phases.1.method.loss.smoothing": 0.1,
        "phases.1.optimizer.weight_decay": 1e-5,
        "phases.1.averaging.decay": 0.9999,
    }
    assert {path: found[path] for path in expected} == expected
    assert len(load("noisy-student-3").phases) == 4
    semi, plain = load("resnet-rs-semi"), load("resnet-rs-152-224")
    changed = {path for path, value in leaves(semi).items() if leaves(plain).get(path) != value}
    kept = ("optimizer", "schedule", "model", "data.augment", "length", "dropout")
    assert not [path for path in changed if path.startswith(kept)]
