"""What is suggested for a time: rules on made-up measurements, and recipes with made-up speeds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.drawn import in_memory

from vertebra.bench.account import Account
from vertebra.errors import RecipeError
from vertebra.models.catalogue import catalogue_of
from vertebra.models.shelf import SHELF, find_spec
from vertebra.recipes import advise as advising
from vertebra.recipes import prepare as preparing
from vertebra.recipes.advise import Base, Wish, advise
from vertebra.recipes.advise_choice import MOST_TRIALS, Trial, choose, explore
from vertebra.recipes.advise_reasons import (
    Circumstances,
    as_time,
    busy,
    too_short,
    verdict,
    weights_would_help,
)
from vertebra.recipes.advise_rungs import (
    MANY,
    TUNED,
    Rung,
    Sizes,
    fresh_rungs,
    named_rungs,
    tuned_rungs,
)
from vertebra.recipes.advise_settings import DROPOUT, settings
from vertebra.recipes.plan import Speed
from vertebra.recipes.shelf import load
from vertebra.recipes.suit import suit

PHOTOS = Sizes(fitted=96, largest=224)
RUNGS = fresh_rungs(PHOTOS)
UPDATES = 100.0


def trial(rung=RUNGS[0], *, epoch=1.0, macs=100, evaluation=0.0, report=0.0):
    return Trial(rung, macs, epoch, evaluation, report)


def machine(rung, epochs=None):
    """Measures a rung on a machine on which larger networks are a little more efficient."""
    macs = round(rung.relative_cost)
    epoch = (macs / 1e8) ** 0.9
    return trial(rung, macs=macs, epoch=epoch, evaluation=epoch / 100)


def suggested(seconds, rungs=RUNGS, updates=UPDATES):
    found = explore(rungs, machine, seconds=seconds, updates_per_epoch=updates)
    return choose(found.values(), seconds=seconds, updates_per_epoch=updates)


def rung(layers, width):
    return next(each for each in RUNGS if (each.layers, each.width) == (layers, width))


def test_a_network_that_gets_too_few_epochs_leaves_the_place_to_a_smaller_one():
    small = trial(RUNGS[0], epoch=1, macs=100)
    large = trial(Rung(model="resnetrs26", image_size=96, least=30), epoch=10, macs=1500)
    assert choose([small, large], seconds=290, updates_per_epoch=UPDATES).trial == small
    assert choose([small, large], seconds=300, updates_per_epoch=UPDATES).trial == large


def test_a_network_that_gets_more_epochs_than_it_is_worth_leaves_the_place_to_a_larger_one():
    small = trial(RUNGS[0], epoch=1, macs=120)
    large = trial(rung(50, 0.25), epoch=3, macs=300)
    before = choose([small, large], seconds=340, updates_per_epoch=UPDATES)
    assert (before.trial, before.epochs) == (small, 340)
    after = choose([small, large], seconds=600, updates_per_epoch=UPDATES)
    assert (after.trial, after.epochs) == (large, 200)


def test_width_is_for_short_training_and_depth_for_long():
    trials = [machine(each) for each in RUNGS]
    width, depth = (
        choose(trials, seconds=seconds, updates_per_epoch=UPDATES) for seconds in (60, 2000)
    )
    assert (width.trial.rung.layers, width.trial.rung.width) == (26, 0.5)
    assert width.epochs < MANY
    assert depth.trial.rung.layers > 26
    assert depth.epochs >= MANY


def test_with_few_images_no_network_is_deeper_than_its_updates_allow():
    shallow, deep = (suggested(1e9, updates=updates).trial.rung for updates in (28, 1000))
    assert shallow.layers * 100 <= 350 * 28
    assert deep == RUNGS[-1]


trials_of = st.lists(
    st.builds(
        trial,
        st.sampled_from(RUNGS),
        epoch=st.floats(0.01, 1000),
        macs=st.integers(1, 10**6),
        evaluation=st.floats(0, 100),
        report=st.floats(0, 100),
    ),
    min_size=1,
)


@given(trials_of, st.floats(1, 1e6), st.floats(1, 3))
def test_more_time_never_gives_less_work(trials, seconds, factor):
    less, more = (
        choose(trials, seconds=each, updates_per_epoch=UPDATES)
        for each in (seconds, seconds * factor)
    )
    if less is not None:
        assert more is not None
        assert more.work >= less.work


@given(trials_of, st.floats(1, 1e6))
def test_a_choice_gets_what_it_needs_and_fits_into_the_time(trials, seconds):
    found = choose(trials, seconds=seconds, updates_per_epoch=UPDATES)
    if found is not None:
        mine = found.trial
        assert mine.rung.epochs_needed(UPDATES) <= found.epochs <= mine.rung.most
        looks = -(-found.epochs // mine.evaluate_every)
        taken = found.epochs * mine.epoch + looks * mine.evaluation + mine.report
        assert taken <= seconds * (1 + 1e-9)


def test_evaluations_add_a_tenth_at_most():
    assert trial(epoch=10, evaluation=1).evaluate_every == 1
    assert trial(epoch=10, evaluation=1.1).evaluate_every == 2
    assert trial(epoch=1, evaluation=2).evaluate_every == 20
    assert trial(epoch=1, evaluation=2).epochs_in(112.1) == 100


@given(st.floats(30, 1e9))
def test_a_handful_of_networks_is_measured_and_the_one_above_the_best(seconds):
    found = explore(RUNGS, machine, seconds=seconds, updates_per_epoch=UPDATES)
    assert RUNGS[0] in found
    assert len(found) <= MOST_TRIALS
    best = choose(found.values(), seconds=seconds, updates_per_epoch=UPDATES)
    above = RUNGS[RUNGS.index(best.trial.rung) :][:2]
    assert set(above) <= found.keys() or len(found) == MOST_TRIALS
    everything = choose(map(machine, RUNGS), seconds=seconds, updates_per_epoch=UPDATES)
    assert best.work >= 0.8 * everything.work


def test_what_does_not_fit_into_memory_is_not_chosen_and_nothing_larger_is_tried():
    def small_memory(each, epochs):
        fits = each.relative_cost < 1e9
        return machine(each) if fits else trial(each, epoch=math.inf, evaluation=math.inf)

    found = explore(RUNGS, small_memory, seconds=1e8, updates_per_epoch=UPDATES)
    best = choose(found.values(), seconds=1e8, updates_per_epoch=UPDATES)
    assert best.trial.rung.relative_cost < 1e9
    failed = [each for each in found.values() if math.isinf(each.epoch)]
    assert 0 < len(failed) < 3
    circumstances = Circumstances(1e8, 1e8, 1000, 224, UPDATES)
    assert verdict(failed[0], best, circumstances) == "does not fit into memory"


@pytest.mark.parametrize("epoch", [0.3, 7.0, 900.0, 40_000.0])
def test_a_time_that_is_too_short_is_refused_with_one_that_is_enough(epoch):
    mine = trial(epoch=epoch, evaluation=epoch / 8, report=epoch / 2)
    circumstances = Circumstances(1.0, 0.95, 450, 224, UPDATES)
    said = str(too_short(mine, circumstances))
    assert said.startswith("--time 1s is too short for 450 images: resnetrs26 x0.25 at 64 px takes")
    number, unit = int(said.split()[-1][:-1]), said[-1]
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert choose([mine], seconds=0.95 * seconds, updates_per_epoch=UPDATES) is not None


def test_times_are_said_as_they_are_given():
    told = [as_time(seconds) for seconds in (0.2, 90, 180, 7200, 7201, 86400 * 3)]
    assert told == ["1s", "90s", "3m", "120m", "3h", "3d"]


def test_no_image_is_enlarged_and_small_ones_have_one_size():
    assert {each.image_size for each in fresh_rungs(Sizes(fitted=96, largest=128))} == {64, 96, 128}
    small = fresh_rungs(Sizes(fitted=32, largest=32, is_free=False))
    assert {each.image_size for each in small} == {32}
    assert len(small) == len({(each.model, each.width) for each in small})
    assert small[0].least == RUNGS[0].least
    fixed = named_rungs("resnet50", Sizes(fitted=80, largest=224, is_free=False))
    assert [each.image_size for each in fixed] == [80]
    open_ = named_rungs("resnet50", Sizes(fitted=96, largest=160))
    assert [each.image_size for each in open_] == [64, 96, 128, 160]


def test_the_ladder_ends_in_the_published_rows_and_grows():
    assert {each.model for each in RUNGS} <= SHELF.keys()
    wide = fresh_rungs(Sizes(fitted=96, largest=320))
    assert wide[-1].title == "resnetrs420 at 320 px"
    costs = [each.relative_cost for each in wide]
    assert costs == sorted(costs)
    assert wide[0].relative_cost == min(costs)


def test_fine_tuning_sees_as_many_images_as_its_paper_says_within_bounds():
    most = [tuned_rungs(TUNED, PHOTOS, images=images)[0].most for images in (500, 5000, 10**6)]
    assert most == [100, 51, 20]
    assert all(catalogue_of(model) for model in TUNED)
    sizes = {each.image_size for each in tuned_rungs(["resnet50"], Sizes(fitted=224, largest=224),
                                                     images=500)}  # fmt: skip
    assert sizes == {128, 224}


def test_the_longer_and_the_wider_the_more_it_is_regularised():
    def changes(layers, width, epochs):
        return settings(rung(layers, width), epochs=epochs, updates=1e4, batch_size=64).changes

    short, medium = changes(26, 0.5, 29), changes(26, 0.5, 99)
    assert short["data.augment.rand_augment"] is None
    assert short["method.loss.smoothing"] == 0
    assert not medium.keys() & {"dropout", "optimizer.weight_decay", "data.augment.rand_augment"}
    assert "dropout" not in changes(50, 0.25, 350)  # a weight decay of 1e-4 stays, too
    for width in (0.5, 1.0):
        long = changes(50, width, 100)
        assert (long["dropout"], long["optimizer.weight_decay"]) == (DROPOUT[width], 4e-5)
    assert changes(152, 1.0, 100)["data.augment.rand_augment.magnitude"] == 15
    assert changes(50, 1.0, 100)["optimizer.lr"] == 0.025
    long = settings(rung(26, 0.25), epochs=350, updates=109_475, batch_size=64)
    assert long.changes == {"averaging.decay": 0.9999}


def test_few_images_are_told_that_weights_would_help_and_many_are_not():
    assert "450 images are few (fewer than 20,000" in weights_would_help(450, "vertebra plan x")
    assert weights_would_help(20_000, "vertebra plan x") is None


def test_a_busy_machine_is_told_of():
    assert busy(2.5, 2) is None
    assert "load 16.0 on 2 cores" in busy(16, 2)


MATERIALS = in_memory(train=40, val=5, test=5)


def propose(model, pretrained):
    recipe = load("finetune" if pretrained else "small")
    spec = find_spec(model or "resnetrs26")
    return Base(suit(recipe, spec).recipe, frozenset())


@pytest.fixture
def speeds(monkeypatch):
    """A machine that makes 1e9 multiply-adds a second, and no weights on it; returns what it was
    asked to measure."""
    asked = []

    def account(model, *, image_size, in_channels):  # counting takes a while
        parameters = sum(each.numel() for each in model.parameters())
        return Account(parameters, parameters * image_size**2 // 100, {})

    def measure(prepared, *, seconds):
        asked.append(prepared.recipe)
        step = prepared.cost.macs * prepared.recipe.phases[0].data.batch_size / 1e9
        return (Speed(step, step / 2, step, 100.0, 5.0),)

    monkeypatch.setattr(preparing, "account", account)
    monkeypatch.setattr(advising, "measure", measure)
    monkeypatch.setattr(advising, "weights_here", lambda: ())
    return asked


def test_the_advice_fits_the_time_and_says_why(speeds):
    found = advise(propose, MATERIALS, Wish(100))
    assert 60 < found.estimate.total_seconds <= 95
    assert found.recipe.phases[0].length.value == found.choice.epochs
    assert found.recipe.phases[0].data.preprocess.image_size == 32  # no image is enlarged
    assert found.recipe.model.stem_pool is None
    assert [why for _, why in found.alternatives].count("chosen") == 1
    assert f"{found.choice.epochs} epochs fit into 1 min 40 s" in found.reasons[0]
    assert found.estimate.steps == found.prepared.total_steps
    assert speeds[0].model.width == 0.25


def test_longer_training_is_regularised_as_it_will_run(speeds):
    short, long = (advise(propose, MATERIALS, Wish(seconds)) for seconds in (30, 200))
    assert short.recipe.phases[0].data.augment.rand_augment is None
    assert long.recipe.phases[0].data.augment.rand_augment is not None
    assert long.choice.work > short.choice.work
    ran = [each.phases[0].data.augment for each in speeds]
    assert long.recipe.phases[0].data.augment in ran  # it was measured so


def test_what_the_user_has_set_stays(speeds):
    def mine(model, pretrained):
        base = propose(model, pretrained)
        return base._replace(fixed=base.fixed | {"data.augment", "data.preprocess.image_size"})

    found = advise(mine, MATERIALS, Wish(300))
    assert found.recipe.phases[0].data.augment == load("small").phases[0].data.augment
    assert found.recipe.phases[0].data.preprocess.image_size == 96


def test_a_model_of_the_users_own_is_only_given_a_size_and_a_length(speeds):
    found = advise(propose, MATERIALS, Wish(600, is_open=False))
    assert found.model is None
    assert found.changes.keys() == {"length"}
    assert found.choice.trial.rung.title == "resnetrs26 at 32 px"


def test_weights_on_this_machine_are_taken_for_few_images(speeds, monkeypatch):
    monkeypatch.setattr(advising, "weights_here", lambda: ("resnet18", "resnet50"))
    found = advise(propose, MATERIALS, Wish(10_000))
    assert (found.pretrained, found.recipe.name) == (True, "finetune")
    assert found.model in ("resnet18", "resnet50")
    assert found.choice.epochs <= 100
    quick = advise(propose, MATERIALS, Wish(40))  # too short for those
    assert (quick.pretrained, quick.recipe.name) == (False, "small")


def test_a_network_for_which_the_memory_is_too_small_is_passed_over(speeds, monkeypatch):
    measure = advising.measure

    def small_memory(prepared, *, seconds):
        if prepared.cost.macs > 2e7:
            raise torch.OutOfMemoryError
        return measure(prepared, seconds=seconds)

    monkeypatch.setattr(advising, "measure", small_memory)
    found = advise(propose, MATERIALS, Wish(2000))
    assert found.choice.trial.macs < 2e7
    assert "does not fit into memory" in [why for _, why in found.alternatives]


def test_a_time_too_short_for_the_smallest_is_refused_in_a_sentence(speeds):
    with pytest.raises(RecipeError, match=r"--time 2s is too short for 120 images: .*at least \d"):
        advise(propose, MATERIALS, Wish(2))
