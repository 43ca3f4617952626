"""A pool is labelled once, by the right model and in the right terms, and the labels are kept."""

import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from tests.recipes.drawn import CLASSES, in_memory, tiny
from torch.testing import assert_close

from vertebra.data.augment import Augment
from vertebra.data.beside import Beside, PseudoLabels
from vertebra.data.crops import Resize
from vertebra.data.preprocess import pack
from vertebra.data.unlabelled import Unlabelled
from vertebra.engine import checkpoint
from vertebra.engine.averaging import Averaging
from vertebra.engine.distributed import World
from vertebra.engine.observers import Saver
from vertebra.errors import CheckpointError, DataError, Interrupted, RecipeError
from vertebra.methods.fixmatch import FixMatchSpec
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.methods.pseudo_labels import tally
from vertebra.methods.supervised import SupervisedSpec
from vertebra.recipes.apply import predict
from vertebra.recipes.deploy import load_run
from vertebra.recipes.materials import build_training, gather, training_batches
from vertebra.recipes.pool import Labeller, probabilities, told
from vertebra.recipes.prepare import prepare
from vertebra.recipes.run import resume, run
from vertebra.recipes.vary import vary

pytestmark = pytest.mark.usefixtures("no_page")

PLAIN = Augment(crop=Resize(), flip=0.0)
POOL = Beside(augment=PLAIN, labels=PseudoLabels(threshold=0.0))
LABELS = "checkpoints/labels-1"


class Listener:
    """A view that keeps what it is told, and does something when it hears a word."""

    def __init__(self, word="", act=None):
        self.word, self.act = word, act
        self.messages = []

    def start(self, total_steps, steps_per_epoch): ...

    def step(self, step, *, loss, images_per_s, data_wait, lr): ...

    def evaluation(self, step, *, split, figures): ...

    def message(self, text):
        self.messages.append(text)
        if self.act is not None and self.word in text:
            self.act()


def beside(recipe, images=POOL, **labels):
    """Returns the recipe with a student in its last phase."""
    last = recipe.phases[-1]
    pool = replace(images, labels=replace(images.labels, **labels))
    student = replace(last, data=replace(last.data, beside=pool), method=NoisyStudentSpec())
    return replace(recipe, phases=(*recipe.phases[:-1], student))


@pytest.fixture(scope="module")
def plain(album):
    """Six updates, which are enough to be more sure of one class than of another."""
    return tiny(album, {"averaging": Averaging(decay=0.5), "optimizer.lr": 0.05})


@pytest.fixture(scope="module")
def recipe(plain):
    """A teacher, and a fresh student of it."""
    both = (plain.phases[0], replace(plain.phases[0], takes="nothing"))
    return beside(replace(plain, phases=both))


@pytest.fixture(scope="module")
def teacher(plain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    run(replace(plain, seed=1), folder)
    return folder


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    folder, view = tmp_path_factory.mktemp("whole") / "run", Listener()
    run(recipe, folder, view=view)
    return folder, view.messages


def kept(folder, place=1):
    saved = checkpoint.load(folder / "checkpoints" / f"labels-{place}")
    return saved.tensors["labels"], saved.state


def split_of(labeller, split):
    return probabilities(Labeller.of_run(labeller, "run"), split)


def test_the_phase_before_labels_with_the_weights_that_it_leaves(recipe, finished, tmp_path):
    alone = vary(replace(recipe, phases=recipe.phases[:1]), {"selection.keep": "last"})
    run(alone, tmp_path / "alone")
    left = load_run(tmp_path / "alone", device="cpu")
    pool = prepare(recipe).materials[1].beside
    answers = split_of(left, pool)
    tensors, state = kept(finished[0])
    assert_close(tensors["targets"], answers[tensors["rows"]])
    assert state["labelled_by"] == "the model of phase 0"
    assert state["found"] == torch.bincount(answers.argmax(1), minlength=3).tolist()


def test_what_was_kept_is_told_for_each_class(recipe, finished):
    state = kept(finished[0])[1]
    first, second = finished[1]
    assert first == "the model of phase 0 labels 36 images"
    each = [
        f"{name} {mine} of {seen}"
        for name, mine, seen in zip(CLASSES, state["kept"], state["found"], strict=True)
    ]
    said = f"{sum(state['kept'])} of 36 images are kept, {sum(state['learnt'])} with repeats"
    assert second.startswith(f"pseudo-labels: {said} ({', '.join(each)})")


def test_many_classes_are_told_in_short():
    found = torch.eye(12)[:11]
    names = [f"c{place}" for place in range(12)]
    assert told(tally(found, torch.arange(11)), names) == (
        "pseudo-labels: 11 of 11 images are kept, 11 with repeats (0 to 1 a class); none is 'c11'"
    )


def test_the_same_model_says_the_same_twice_and_stays_as_it_is(teacher):
    labeller = load_run(teacher, device="cpu")
    pool = in_memory(train=20, val=2, test=2).splits.train
    labeller.model.train()
    before = {name: value.clone() for name, value in labeller.model.state_dict().items()}
    once, again = split_of(labeller, pool), split_of(labeller, pool)
    assert torch.equal(once, again)
    assert labeller.model.training
    after = labeller.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert_close(once.sum(1), torch.ones(len(pool)))


def test_each_of_two_processes_looks_at_its_share(teacher, monkeypatch):
    labeller = Labeller.of_run(load_run(teacher, device="cpu"), "run")
    pool = in_memory(train=50, val=2, test=2).splits.train  # three batches
    monkeypatch.setattr(World, "total", lambda self, value: value)
    monkeypatch.setattr(World, "align", lambda self, module: None)
    shares = [probabilities(labeller, pool, world=World(rank=rank, size=2)) for rank in (0, 1)]
    assert [int(each.any(1).sum()) for each in shares] == [len(pool) - 64, 64]
    assert torch.equal(shares[0] + shares[1], probabilities(labeller, pool))


def test_a_run_labels_in_its_own_size_and_its_classes_are_matched_by_name(album, teacher, tmp_path):
    """The student's images have another size, and its classes stand in another order."""
    other = tmp_path / "album"
    shutil.copytree(album, other)
    names = dict(zip(CLASSES, ("c", "a", "b"), strict=True))
    for folder in [*other.glob("*/*")]:
        folder.rename(folder.with_name(names[folder.name]))
    shutil.copytree(teacher, tmp_path / "teacher")
    classes = tmp_path / "teacher/classes.json"
    classes.write_text('["c", "a", "b"]')
    recipe = tiny(other, {"data.preprocess.image_size": 8, "length": "1 steps"})
    folder = tmp_path / "run"
    run(beside(recipe, teacher=str(tmp_path / "teacher"), per_class=None), folder)
    tensors, state = kept(folder, place=0)
    assert tensors["rows"].tolist() == list(range(36))
    pool = prepare(recipe).materials[0].splits.train
    answers = predict(load_run(tmp_path / "teacher", device="cpu"), pool, top=1)
    best = [("a", "b", "c").index(each.classes[0]) for each in answers]
    assert tensors["targets"].argmax(1).tolist() == best
    assert state["labelled_by"] == str(tmp_path / "teacher")


def test_hard_labels_are_classes_and_all_are_kept_once(plain, teacher, tmp_path):
    student = vary(plain, {"length": "1 steps"})
    run(beside(student, teacher=str(teacher), hard=True, per_class=None), tmp_path / "run")
    tensors, state = kept(tmp_path / "run", place=0)
    assert tensors["rows"].tolist() == list(range(36))
    assert tensors["targets"].dtype == torch.int64
    assert torch.bincount(tensors["targets"], minlength=3).tolist() == state["learnt"]


def test_an_even_share_is_the_pool_by_the_number_of_classes(finished):
    state = kept(finished[0])[1]
    pairs = zip(state["learnt"], state["found"], strict=True)
    assert all(abs(learnt - 36 / len(CLASSES)) < found for learnt, found in pairs if found)


def test_a_student_learns_each_image_with_its_own_label(recipe, finished):
    """Else rows and targets would part on the way to the batches."""
    prepared = prepare(recipe)
    tensors, _ = kept(finished[0])
    pool = prepared.materials[1].beside
    materials = replace(
        prepared.materials[1],
        beside=pool.subset(tensors["rows"].numpy()),
        labels=tensors["targets"],
    )
    phase = recipe.phases[1]
    training = build_training(
        recipe, phase, prepared.new_model(1), images=36, device=torch.device("cpu"), world=World()
    )
    for batch in training_batches(recipe, phase, materials, training):
        others = batch.unlabelled
        rows = tensors["rows"][others.index]
        pixels = pack([pool.open(row, 3) for row in rows.tolist()])
        assert_close(others.images, phase.data.preprocess.normalize(pixels))
        assert torch.equal(others.targets, tensors["targets"][others.index])


@pytest.mark.parametrize("word", ["labels 36 images", "are kept"])
def test_a_run_that_is_stopped_around_its_labels_goes_on_to_the_same_end(
    recipe, finished, tmp_path, word
):
    terminate = Listener(word, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match="vertebra resume"):
        run(recipe, tmp_path / "run", view=terminate)
    is_labelled = word == "are kept"
    assert (tmp_path / "run" / LABELS).exists() is is_labelled
    view = Listener()
    resume(tmp_path / "run", view=view)
    assert any("are kept" in text for text in view.messages) is not is_labelled
    for name in ("last", "best", "labels-1"):
        ours, theirs = (
            checkpoint.load(folder / "checkpoints" / name).tensors
            for folder in (tmp_path / "run", finished[0])
        )
        for entry, tensors in theirs.items():
            assert all(torch.equal(ours[entry][key], value) for key, value in tensors.items())


def test_labels_that_are_gone_or_of_other_images_are_refused(
    recipe, finished, tmp_path, monkeypatch
):
    monkeypatch.setitem(Saver.__init__.__kwdefaults__, "seconds", 0.0)  # saves each update
    stop = Listener("are kept", lambda: os.kill(os.getpid(), signal.SIGTERM))
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        run(recipe, folder, view=stop)
    saved = checkpoint.load(folder / LABELS)
    checkpoint.save(folder / LABELS, tensors=saved.tensors, state={**saved.state, "images": "0"})
    with pytest.raises(CheckpointError, match="labels other images than are there now; restore"):
        resume(folder)
    shutil.rmtree(folder / LABELS)
    with pytest.raises(CheckpointError, match="the labels that phase 1 learns from; restore"):
        resume(folder)


def test_a_teacher_that_is_sure_of_nothing_ends_the_run(recipe, tmp_path):
    with pytest.raises(
        DataError, match=r"is sure of none of 36 images \(at most 0\.\d+, and labels"
    ):
        run(beside(recipe, threshold=1.0), tmp_path / "run")


@pytest.mark.parametrize("is_named", [True, False])
def test_the_pool_of_a_fraction_is_all_of_train_and_nothing_held_out(album, is_named):
    images = Unlabelled(source=str(album)) if is_named else None
    data = replace(tiny(album).phases[0].data, fraction=0.25)
    poor = gather(replace(data, beside=replace(POOL, images=images)), seed=0)
    whole = gather(replace(data, fraction=1.0), seed=0)
    assert len(poor.train) == 9
    assert [*poor.beside.names] == [*whole.train.names]
    assert poor.beside.classes == ()
    assert not {*poor.splits.minival.names, *poor.splits.report.names} & {*poor.beside.names}


def test_a_first_phase_has_no_phase_before_it(plain):
    with pytest.raises(RecipeError, match=r"phase 0 has none; give a finished run, as --teacher"):
        beside(plain).check()


def test_a_teacher_is_looked_at_before_anything_is_trained(plain, tmp_path):
    with pytest.raises(CheckpointError, match="is no run directory"):
        prepare(beside(plain, teacher=str(tmp_path)))


def test_images_beside_are_refused_where_nothing_learns_from_them(recipe):
    with pytest.raises(RecipeError, match="SupervisedSpec has no use for images beside"):
        vary(recipe, {"phases.1.method": SupervisedSpec()}).check()
    with pytest.raises(RecipeError, match="give one view"):
        vary(recipe, {"phases.1.method": FixMatchSpec()}).check()
    with pytest.raises(RecipeError, match="NoisyStudentSpec needs images without labels"):
        vary(recipe, {"phases.1.data.beside": None}).check()
