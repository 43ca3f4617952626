import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tests.recipes.drawn import draw_album, pixels, tiny

from vertebra.data.preprocess import Preprocess
from vertebra.duration import epochs
from vertebra.engine.averaging import Averaging
from vertebra.engine.distributed import World
from vertebra.engine.schedules import Constant, Cosine
from vertebra.errors import DataError, RecipeError
from vertebra.recipes.materials import (
    build_model,
    build_training,
    evaluation_batches,
    gather,
    training_batches,
)
from vertebra.recipes.prepare import gather_all, prepare
from vertebra.recipes.run import run

CPU = torch.device("cpu")


@pytest.fixture
def own(album, tmp_path):
    return shutil.copytree(album, tmp_path / "album")


def phases(recipe, *others):
    return replace(recipe, phases=(*recipe.phases, *(other.phases[0] for other in others)))


def test_a_prepared_recipe_knows_its_length(album):
    prepared = prepare(phases(tiny(album), tiny(album, {"length": "4 steps"})))
    assert (prepared.steps(0), prepared.steps(1), prepared.total_steps) == (6, 4, 10)
    assert prepared.steps_per_epoch(0) == 3.0
    assert prepared.epochs == pytest.approx(2 + 4 / 3)
    assert prepared.classes == ("left", "middle", "right")
    assert prepared.cost.parameters == sum(p.numel() for p in prepared.new_model().parameters())


def test_each_phase_counts_its_own_images(album, tmp_path):
    more = draw_album(tmp_path / "more", train=24, val=6, test=6)
    prepared = prepare(phases(tiny(album), tiny(more)))
    assert (prepared.steps(0), prepared.steps(1)) == (6, 12)
    # a warm-up of four epochs is 24 updates of these images, and would be 12 of the others
    late = tiny(more, {"schedule": Cosine(warmup=epochs(4)), "length": "21 steps"})
    with pytest.raises(RecipeError, match="warm-up of 4 epochs is 24 steps, but the phase has 21"):
        prepare(phases(tiny(album), late))


def test_other_classes_in_a_later_phase_are_refused(album, own):
    for split in ("train", "val", "test"):
        (own / split / "left").rename(own / split / "up")
    with pytest.raises(DataError, match=r"different classes, \['left'.*\] and \['middle'"):
        prepare(phases(tiny(album), tiny(own)))


def test_phases_share_what_they_both_read(album, own):
    recipe = phases(tiny(album), tiny(album), tiny(own))
    one, same, other = gather_all(recipe)
    assert one is same
    assert other is not one


def test_the_digest_changes_with_the_images_and_with_nothing_else(own):
    def digest(**changes):
        return prepare(replace(tiny(own), **changes)).digest

    found = [digest(), digest(dropout=0.1)]
    assert found[0] == found[1]
    path = own / "train" / "left" / "0.png"
    for change in (
        lambda: path.rename(path.with_name("zero.png")),
        lambda: Image.fromarray(pixels(0, seed=99)).save(path),
        lambda: path.rename(own / "train" / "right" / "left.png"),
        lambda: (own / "val" / "left" / "0.png").rename(own / "test" / "left" / "v.png"),
    ):
        change()
        found.append(digest())
    assert len(set(found)) == len(found) - 1


def test_weights_depend_on_the_seed_alone(album):
    recipe = tiny(album)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = (build_model(replace(recipe, seed=seed), 3) for seed in (0, 1))
    assert torch.equal(torch.rand(3), expected)
    again = build_model(recipe, 3)
    for mine, its in zip(one.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, its)
    assert not torch.equal(one.head.fc.weight, other.head.fc.weight)


def test_a_training_is_what_the_recipe_says(album):
    changes = {"accumulate": 3, "clip_norm": 2.0, "averaging": Averaging(), "seed": 4}
    recipe = tiny(album, {**changes, "schedule": Constant(), "optimizer.lr": 0.3})
    world = World(rank=1, size=2)
    training = build_training(
        recipe,
        recipe.phases[0],
        build_model(recipe, 3),
        images=36,
        device=CPU,
        world=world,
        earlier_steps=7,
    )
    assert (training.steps, training.steps_per_epoch, training.earlier_steps) == (6, 3.0, 7)
    assert (training.lr, training.accumulate, training.clip_norm) == (0.3, 3, 2.0)
    assert (training.world, training.schedule) == (world, Constant())
    trained = {id(p) for p in training.method.parameters()}
    grouped = [id(p) for group in training.optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(trained)
    assert set(grouped) == trained
    assert training.deployable() is training.average.module


def test_the_first_phase_has_the_seed_of_the_recipe_and_a_later_one_another_order(album):
    recipe = tiny(album, {"seed": 4})
    phase, materials = recipe.phases[0], gather(tiny(album).phases[0].data, seed=0)

    def order(earlier_steps: int) -> list[list[int]]:
        training = build_training(
            recipe,
            phase,
            build_model(recipe, 3),
            images=36,
            device=CPU,
            world=World(),
            earlier_steps=earlier_steps,
        )
        assert (training.seed == 4) == (earlier_steps == 0)
        batches = training_batches(recipe, phase, materials, training)
        return [batch.index.tolist() for batch in batches]

    assert order(0) == order(0)
    assert order(0) != order(7)


def test_batches_are_those_of_the_recipe(album):
    recipe = tiny(album, {"accumulate": 2, "length": "5 steps"})
    phase, materials = recipe.phases[0], gather(tiny(album).phases[0].data, seed=0)
    world = World(rank=1, size=2)
    training = build_training(
        recipe, phase, build_model(recipe, 3), images=36, device=CPU, world=world
    )
    batches = list(training_batches(recipe, phase, materials, training, start=2))
    assert [len(batch.images) for batch in batches] == [3] * 6
    whole = evaluation_batches(recipe, phase, materials.splits.report, device=CPU, world=World())
    seen = torch.cat([batch.index for batch in whole])
    assert seen.tolist() == list(range(18))
    parts = [
        batch.index
        for rank in range(2)
        for batch in evaluation_batches(
            recipe, phase, materials.splits.report, device=CPU, world=World(rank=rank, size=2)
        )
    ]
    assert sorted(torch.cat(parts).tolist()) == list(range(18))


def test_a_phase_without_length_is_refused(album):
    with pytest.raises(RecipeError, match="length=0 epochs; give a duration above zero"):
        tiny(album, {"length": "0 epochs"})


def test_processes_must_share_the_batch(album):
    with pytest.raises(RecipeError, match="cannot be shared by 5 processes"):
        prepare(tiny(album), processes=5)


def test_colour_operations_on_alpha_are_refused_before_anything_is_written(album, tmp_path):
    preprocess = Preprocess.for_channels(4, image_size=16)
    recipe = tiny(album, {"data.preprocess": preprocess, "data.augment.jitter": "ColorJitter"})
    with pytest.raises(RecipeError, match="channels=4 with jitter, for grey"):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
