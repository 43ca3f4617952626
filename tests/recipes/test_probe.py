"""Probing: what features are worth, and that nothing of the backbone changes."""

import hashlib
from dataclasses import replace

import pytest
import torch
from tests.recipes.drawn import tiny

from vertebra.data.preprocess import Preprocess
from vertebra.duration import steps
from vertebra.engine.evaluate import evaluate
from vertebra.engine.schedules import Constant
from vertebra.errors import CheckpointError, RecipeError
from vertebra.recipes import precision
from vertebra.recipes.apply import batches
from vertebra.recipes.codec import to_data
from vertebra.recipes.few_labels import FewLabels, attempt, in_one_precision, plan
from vertebra.recipes.materials import gather
from vertebra.recipes.probe import Protocols, images_for, run_subject, untrained, worth
from vertebra.recipes.run import run
from vertebra.records import RunDirectory, read_json, write_json
from vertebra.tasks.features import FeatureCollector
from vertebra.tasks.linear_probe import LinearProbe
from vertebra.tasks.neighbours import Neighbours

BOTH = Protocols(neighbours=Neighbours(count=3), linear=LinearProbe(rates=(0.3, 3.0), updates=200))


def digest(module: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode() + value.cpu().numpy().tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def directory(album, tmp_path_factory):
    """The folder of a run that has learnt."""
    folder = tmp_path_factory.mktemp("probed") / "run"
    run(tiny(album, {"length": "30 steps", "selection.every": "30 steps"}), folder)
    return folder


@pytest.fixture(scope="module")
def subject(directory):
    return run_subject(directory, device="cpu")


@pytest.fixture(scope="module")
def materials(subject, album):
    return gather(images_for(subject, str(album)), seed=subject.seed)


def test_a_trained_backbone_is_worth_more_than_fresh_weights(subject, materials):
    trained = worth("trained", subject.deployed, materials.splits, BOTH)
    fresh = worth("fresh", untrained(subject), materials.splits, BOTH)
    assert trained.neighbours > fresh.neighbours
    assert min(trained.neighbours, trained.linear) >= 0.8
    assert trained.rate in BOTH.linear.rates
    assert worth("trained", subject.deployed, materials.splits, BOTH) == trained


def test_neither_weights_nor_batch_statistics_change(subject, materials):
    for deployed in (subject.deployed, untrained(subject)):
        before = digest(deployed.model)
        worth("it", deployed, materials.splits, BOTH)
        assert digest(deployed.model) == before
        assert not deployed.model.training
    assert all(each.grad is None for each in subject.deployed.model.parameters())


def test_the_nearest_of_the_images_that_are_known_is_each_itself(subject, materials):
    train = materials.splits.train
    same = replace(materials.splits, report=train)
    only = Protocols(neighbours=Neighbours(count=1), linear=None)
    found = worth("it", subject.deployed, same, only)
    assert found == ("it", 1.0, None, None, None)


def test_the_reported_images_choose_nothing(subject, materials):
    splits = materials.splits
    turned = replace(splits.report, labels=(splits.report.labels + 1) % 3)
    plain = worth("it", subject.deployed, splits, BOTH)
    other = worth("it", subject.deployed, replace(splits, report=turned), BOTH)
    assert (other.rate, other.held_out) == (plain.rate, plain.held_out)
    assert other.linear != plain.linear


def test_features_come_in_order_with_their_targets(subject, materials):
    split, deployed = materials.splits.minival, subject.deployed
    collector = FeatureCollector()
    evaluate(
        deployed.model.backbone,
        batches(deployed, split, batch_size=5),
        collector,
        device=deployed.device,
        execution=deployed.execution,
    )
    found = collector.result()
    assert found.targets.tolist() == split.labels.tolist()
    assert found.vectors.shape == (len(split), deployed.model.backbone.width)
    (batch,) = batches(deployed, split, batch_size=100)
    with torch.no_grad():
        whole = deployed.model.backbone(batch.images).vector
    torch.testing.assert_close(found.vectors, whole)


@pytest.fixture
def trials(subject, materials, album):
    few = FewLabels(fractions=(0.25,), seeds=2)
    return plan(few, subject, materials.survey, str(album))


def test_both_starts_see_the_same_images_and_each_draw_has_its_own(trials):
    names = [each.name for each in trials]
    assert names[:2] == ["fine-tuned-0.25-0", "from-scratch-0.25-0"]
    lists = [set(each.materials.train.names) for each in trials]
    assert lists[0] == lists[1] != lists[2] == lists[3]
    assert {len(each) for each in lists} == {9}
    reports = [set(each.materials.splits.report.names) for each in trials]
    assert all(each == reports[0] for each in reports)


def test_fine_tuning_starts_from_the_weights_and_chooses_nothing_beyond_its_labels(trials, subject):
    tuned, scratch = (each.recipe for each in trials[:2])
    assert (tuned.pretrained, scratch.pretrained) == (subject.pretrained, None)
    assert tuned.model == scratch.model == subject.deployed.recipe.model
    for recipe in (tuned, scratch):
        assert recipe.selection.keep == "last"
        assert recipe.phases[0].data.preprocess == subject.deployed.preprocess
    assert tuned.phases[0].fine_tuning.rate_decay < 1


def test_a_network_for_grey_images_gets_them(album, tmp_path):
    grey = Preprocess.for_channels(1, image_size=16)
    run(tiny(album, {"data.preprocess": grey, "length": "1 steps"}), tmp_path / "run")
    one = run_subject(tmp_path / "run", device="cpu")
    found = gather(images_for(one, str(album)), seed=one.seed)
    planned = plan(FewLabels(fractions=(0.25,), seeds=1), one, found.survey, str(album))
    assert [each.recipe.phases[0].data.preprocess for each in planned] == [grey, grey]


def test_trials_leave_runs_and_go_on_where_they_were_stopped(trials, tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.run.write_report", lambda place: None)
    short = [
        each._replace(recipe=replace(each.recipe, phases=(_short(each.recipe.phases[0]),)))
        for each in trials[:2]
    ]
    first = list(attempt(short[:1], tmp_path, view=None))
    stamp = (tmp_path / short[0].name / "record.json").stat().st_mtime_ns
    both = list(attempt(short, tmp_path, view=None))
    assert both[0] == first[0]
    assert (tmp_path / short[0].name / "record.json").stat().st_mtime_ns == stamp
    assert [each.is_pretrained for each in both] == [True, False]
    assert [each.images for each in both] == [9, 9]
    assert all(read_json(each.directory / "record.json")["figures"] for each in both)

    (tmp_path / short[1].name / "record.json").unlink()  # as of a run that was stopped
    assert list(attempt(short, tmp_path, view=None))[1] == both[1]
    write_json(tmp_path / short[1].name / "recipe.json", {"name": "other"})
    with pytest.raises(CheckpointError, match="holds a run of another recipe"):
        list(attempt(short, tmp_path, view=None))


def test_trials_share_the_precision_that_suits_the_first(trials, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(precision, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(precision, "_is_allowed", lambda recipe: True)
    times = iter((9.0, 1.0))
    monkeypatch.setattr(precision, "gain", lambda recipe, device: next(times))
    fitted, notes = in_one_precision(trials, tmp_path, precision=None)
    assert {each.recipe.execution.precision for each in fitted} == {"bf16"}
    assert notes == ("execution.precision: fp32 -> bf16, a pass is 9.0 times as fast here",)
    assert in_one_precision(trials, tmp_path, precision="fp32") == (trials, ())
    place = RunDirectory(tmp_path / trials[1].name)  # of one that was stopped
    write_json(place.recipe, to_data(fitted[1].recipe))
    assert in_one_precision(trials, tmp_path, precision=None) == (fitted, ())
    assert in_one_precision(trials, tmp_path / "else", precision=None) == (trials, ())


def _short(phase):
    return replace(phase, length=steps(3), schedule=Constant())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fractions": (0.0,)}, r"fraction 0\.0; give shares above 0"),
        ({"fractions": (0.1, 2.0)}, r"fraction 2\.0"),
        ({"fractions": (0.1,), "seeds": 0}, "seeds=0; give at least 1"),
    ],
)
def test_what_cannot_be_is_refused(changes, told):
    with pytest.raises(RecipeError, match=told):
        FewLabels(**changes)
