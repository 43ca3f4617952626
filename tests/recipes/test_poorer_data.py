"""Fewer and wrong labels in a recipe: they reach what is learnt from, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from tests.recipes.drawn import draw_album, tiny

from vertebra.data.beside import Beside
from vertebra.data.label_noise import LabelNoise
from vertebra.data.unlabelled import Unlabelled
from vertebra.errors import RecipeError
from vertebra.recipes.prepare import gather_all, prepare
from vertebra.recipes.run import run
from vertebra.recipes.vary import vary

POORER = {"data.fraction": 0.5, "data.label_noise": LabelNoise(rate=0.5), "data.long_tail": 4.0}


def labels(split):
    return dict(zip(split.names, split.labels.tolist(), strict=True))


@pytest.fixture(scope="module")
def whole(album):
    return gather_all(tiny(album))[0]


@pytest.fixture(scope="module")
def poor(album):
    return gather_all(tiny(album, POORER))[0]


def test_what_chooses_and_what_is_reported_stays_as_it_is(whole, poor):
    assert labels(poor.splits.minival) == labels(whole.splits.minival)
    assert labels(poor.splits.report) == labels(whole.splits.report)


def test_fewer_images_are_learnt_from_some_with_another_class(album, whole, poor):
    before, after = labels(whole.train), labels(poor.train)
    counts = [6, 3, 2]  # 12 of each class; 12, 6 and 3 of the tail; half of these
    assert np.bincount([before[name] for name in after]).tolist() == counts
    changed = sum(before[name] != after[name] for name in after)
    assert poor.poorer == {"left_out": 36 - sum(counts), "wrong_labels": changed}
    assert 0 < changed < sum(counts)
    clean = gather_all(tiny(album, {**POORER, "data.label_noise": None}))[0]
    assert labels(clean.train).items() <= before.items()
    assert labels(clean.train).keys() == after.keys()


def test_people_and_the_record_are_told_and_only_where_there_is_something_to_tell(whole, poor):
    n = poor.poorer["wrong_labels"]
    assert poor.splits.note.endswith(f"; 25 left out of train; {n} wrong labels of train")
    account = poor.account()["train"]
    assert account == whole.account()["train"] | {"left_out": 25, "wrong_labels": n}
    assert whole.poorer == {}
    assert "left" not in whole.splits.note


def test_a_run_counts_its_length_in_what_it_learns_from(album, tmp_path):
    recipe = tiny(album, {"data.fraction": 0.5, "data.label_noise": LabelNoise(rate=0.0)})
    record = run(recipe, tmp_path / "run")
    assert record.steps == 3  # two epochs of 18 images, 12 a batch
    account = {"found": 36, "used": 36, "refused": [], "left_out": 18, "wrong_labels": 0}
    assert record.data["train"] == account


def test_phases_with_other_shares_do_not_share_their_images_and_the_digest_tells(album):
    recipe = tiny(album)
    (phase,) = recipe.phases
    half = replace(phase, data=replace(phase.data, fraction=0.5))
    prepared = prepare(replace(recipe, phases=(phase, half, phase)))
    assert [len(each.train) for each in prepared.materials] == [36, 18, 36]
    digests = [
        prepare(tiny(album, changes)).digest
        for changes in ({}, {"data.fraction": 0.5}, {"data.label_noise": LabelNoise(rate=0.5)})
    ]
    assert len(set(digests)) == 3


def test_the_images_beside_are_all_of_train_also_those_whose_labels_are_not_used(album):
    beside = Beside(images=Unlabelled(source=str(album)))
    found = gather_all(tiny(album, {"data.fraction": 0.25, "data.beside": beside}))[0]
    assert (len(found.train), len(found.beside)) == (9, 36)


def test_a_split_seed_holds_out_the_same_images_whatever_the_seed(tmp_path):
    album = draw_album(tmp_path / "album", train=12) / "train"
    ways = [{"seed": 0}, {"seed": 1, "data.split_seed": 0}, {"seed": 1}]
    changes = {"data.fraction": 0.5}
    own, same, other = (gather_all(tiny(album, {**changes, **way}))[0].splits for way in ways)
    assert labels(same.report) == labels(own.report) != labels(other.report)
    assert labels(same.minival) == labels(own.minival)
    assert labels(same.train) != labels(own.train)  # which half it is depends on the seed


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data.fraction": 0.0}, r"fraction=0\.0; give a share above 0, at most 1"),
        ({"data.fraction": 1.5}, r"fraction=1\.5"),
        ({"data.long_tail": 0.5}, r"long_tail=0\.5; give a ratio of 1 or more"),
        ({"data.split_seed": -1}, "split_seed=-1; give zero or more"),
        ({"data.label_noise": {"rate": -0.1}}, r"label noise rate=-0\.1"),
    ],
)
def test_a_value_out_of_range_is_refused_at_once(album, changes, told):
    with pytest.raises(RecipeError, match=told):
        tiny(album, changes)


@pytest.mark.parametrize("path", POORER)
def test_images_from_elsewhere_have_none_of_it(album, path):
    changes = {path: POORER[path], "data.learn_from": Unlabelled(source=str(album))}
    recipe = tiny(album, changes)
    with pytest.raises(RecipeError, match=r"leave (it|them) out"):
        recipe.check()


def test_a_sigmoid_a_class_may_start_where_every_class_is_improbable(album):
    recipe = tiny(album, {"head_bias": "log_prior"})
    model = prepare(recipe).new_model()
    assert model.head.fc.bias.tolist() == pytest.approx([-np.log(3)] * 3)
    plain = prepare(vary(recipe, {"head_bias": "zero"})).new_model()
    assert not plain.head.fc.bias.any()
    assert (plain.head.fc.weight == model.head.fc.weight).all()
