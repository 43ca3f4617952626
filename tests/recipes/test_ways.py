"""What every way to learn has to bear: it runs as a recipe, resumes to the bit, leaves a model."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tests.engine.waits import META, Waits
from tests.recipes.drawn import CLASSES, tiny
from tests.recipes.power_cut import PowerCut, Scripted, cut

from vertebra.contracts import Progress
from vertebra.data.erase import Erase
from vertebra.data.unlabelled import Unlabelled
from vertebra.engine import checkpoint
from vertebra.engine.distributed import World
from vertebra.engine.loop import parallel_and_compiled, update
from vertebra.engine.observers import Saver
from vertebra.errors import NameLookupError, RecipeError
from vertebra.recipes.codec import from_data, to_data
from vertebra.recipes.deploy import load_run
from vertebra.recipes.materials import build_training, training_batches
from vertebra.recipes.prepare import prepare
from vertebra.recipes.recipe import Recipe
from vertebra.recipes.run import resume, run
from vertebra.recipes.teachers import guide
from vertebra.recipes.vary import vary
from vertebra.recipes.ways.shelf import METHODS, learn
from vertebra.recipes.ways.wishes import Wishes

pytestmark = pytest.mark.usefixtures("no_page")

STEPS = 3
"""Of each phase."""

NEEDS = {
    "arch-net": {"teachers"},
    "fixmatch": {"unlabelled"},
    "funmatch": {"teachers"},
    "kd": {"teachers"},
    "noisy-student": {"unlabelled"},
    "single-image": {"teachers"},
}


@pytest.fixture(scope="module")
def plain(album):
    return tiny(album, {"model.stochastic_depth": 0.2, "model.width": 0.5})


@pytest.fixture(scope="module")
def wishes(plain, album, tmp_path_factory):
    """All that a method may need: a finished run, and images without labels."""
    teacher = tmp_path_factory.mktemp("ways") / "teacher"
    run(vary(plain, {"length": "1 epochs", "seed": 1}), teacher)
    return {"teachers": (str(teacher),), "unlabelled": Unlabelled(source=str(album / "train"))}


@pytest.fixture(scope="module", params=METHODS)
def recipe(request, plain, wishes):
    """The tiny recipe made to learn in each way, a few updates a phase, saved after each one."""
    given = {name: wishes[name] for name in NEEDS.get(request.param, ())}
    made = learn(plain, request.param, Wishes(**given)).recipe
    lengths = {
        f"phases.{place}.{path}": f"{value} steps"
        for place in range(len(made.phases))
        for path, value in (("length", STEPS), ("schedule.warmup", 0))
    }
    return vary(made, {**lengths, "selection.every": "1 steps"})


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(recipe, folder)
    return folder


def test_its_recipe_is_a_value(recipe):
    assert from_data(Recipe, to_data(recipe)) == recipe


def test_it_leaves_a_model_that_names_classes(finished):
    deployed = load_run(finished, device="cpu")
    assert deployed.classes == CLASSES
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        logits = deployed.model(images)
    assert logits.shape == (2, len(CLASSES))
    assert logits.isfinite().all()


def test_a_run_that_is_cut_off_resumes_to_the_bit(recipe, finished, tmp_path):
    at = (len(recipe.phases) - 1) * STEPS + STEPS - 1
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PowerCut):
        patch.setitem(Saver.__init__.__kwdefaults__, "seconds", 0.0)  # saves each update
        run(recipe, tmp_path / "run", view=Scripted(at, cut))
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", finished)


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing(recipe, finished, tmp_path):
    run(vary(recipe, {"execution.gradient_checkpointing": True}), tmp_path / "run")
    assert_same(tmp_path / "run", finished)


@pytest.mark.slow
def test_compiled_it_learns_the_same(recipe, finished, tmp_path):
    from torch._inductor import config

    torch.compiler.reset()
    with config.patch(fallback_random=True):  # draws as torch makes them uncompiled
        run(vary(recipe, {"execution.compile": True}), tmp_path / "run")
    ours, theirs = (
        checkpoint.load(place / "checkpoints" / "last").tensors["method"]
        for place in (tmp_path / "run", finished)
    )
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        # norms magnify rounding, and where there are few bits a value may fall to the other side;
        # other draws would move a bias by its whole size
        apart = torch.linalg.vector_norm((ours[name] - value).float())
        assert apart <= 0.1 * torch.linalg.vector_norm(value.float()) + 1e-3, name


def assert_same(run_folder, other):
    """Holds every tensor that two runs have saved against each other."""
    for kind in ("last", "best"):
        ours, theirs = (
            checkpoint.load(place / "checkpoints" / kind).tensors for place in (run_folder, other)
        )
        assert ours.keys() == theirs.keys()
        for entry, tensors in theirs.items():
            assert ours[entry].keys() == tensors.keys()
            same = {name: torch.equal(ours[entry][name], value) for name, value in tensors.items()}
            assert all(same.values()), [name for name, is_same in same.items() if not is_same]


def test_every_parameter_that_learns_gets_a_gradient_and_is_learnt_once(recipe):
    """Else two processes would wait for each other for ever."""
    prepared = prepare(recipe)
    phase, materials = recipe.phases[0], prepared.materials[0]
    training = build_training(
        recipe,
        phase,
        prepared.new_model(),
        images=len(materials.train),
        device=torch.device("cpu"),
        world=World(),
        guidance=guide(phase, prepared.classes, device=torch.device("cpu")),
    )
    learnt = [id(each) for group in training.method.parameter_groups() for each in group.parameters]
    trainable = {
        id(value): name for name, value in training.method.named_parameters() if value.requires_grad
    }
    assert sorted(learnt) == sorted(trainable)
    reached: set[int] = set()
    for value in training.method.parameters():
        if value.requires_grad:
            value.register_post_accumulate_grad_hook(lambda value: reached.add(id(value)))
    training.method.train()
    stream = iter(training_batches(recipe, phase, materials, training))
    update(training, parallel_and_compiled(training), stream, Progress(1, STEPS))
    assert {name for key, name in trainable.items() if key not in reached} == set()


def test_a_step_waits_for_nothing(recipe, monkeypatch):
    """Neither the images' way to the device nor the update."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it has no "meta"
    prepared, cpu = prepare(recipe), torch.device("cpu")
    phase, materials = recipe.phases[0], prepared.materials[0]
    guidance = guide(phase, prepared.classes, device=cpu)
    augment = replace(phase.data.augment, erase=Erase(probability=1.0))
    phase = replace(phase, data=replace(phase.data, augment=augment))
    training = build_training(
        recipe,
        phase,
        prepared.new_model(),
        images=len(materials.train),
        device=cpu,
        world=World(),
        guidance=guidance,
    )
    averaged = [training.average.module] if training.average else []
    for module in (training.method, *averaged, *guidance.teachers):
        module.to(META)
    optimizer = phase.optimizer.build(training.method.parameter_groups(), META)
    training = replace(training, device=META, optimizer=optimizer, clip_norm=1.0)
    training.method.train()
    stream = iter(training_batches(recipe, phase, materials, training))
    forward = parallel_and_compiled(training)
    update(training, forward, stream, Progress(0, STEPS))  # what is kept is made once
    with Waits() as waits:
        update(training, forward, stream, Progress(1, STEPS))
    assert waits.found == []


def test_a_misspelt_method_offers_the_nearest(plain):
    with pytest.raises(NameLookupError, match="supervised"):
        learn(plain, "supervized", Wishes())


def test_what_a_method_cannot_use_is_refused(plain):
    with pytest.raises(RecipeError, match="--teacher is of no use to the method supervised"):
        learn(plain, "supervised", Wishes(teachers=("run",)))


@pytest.mark.parametrize("method", [name for name in METHODS if name in NEEDS])
def test_a_method_says_what_it_needs(method, plain):
    flag = {"teachers": "--teacher", "unlabelled": "--unlabelled"}[next(iter(NEEDS[method]))]
    with pytest.raises(RecipeError, match=flag):
        learn(plain, method, Wishes())
