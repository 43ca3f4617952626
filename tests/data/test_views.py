"""Further versions of each image: draws of their own or the first one's, mixed alike."""

from dataclasses import replace

import pytest
import torch
from tests.data.album import plant
from torch.nn import functional as F

from vertebra.contracts import Batch
from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop, RandomResizedCrop, Resize
from vertebra.data.erase import Erase
from vertebra.data.folder import open_folder
from vertebra.data.images import Split
from vertebra.data.loader import TrainBatches
from vertebra.data.mixing import Mixing
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.data.views import View
from vertebra.errors import RecipeError

PREPROCESS = Preprocess(image_size=12)
CROPPED = Augment(crop=RandomResizedCrop(scale=(0.3, 1.0)), flip=0.5)
PLAIN = Augment(crop=Resize(), flip=0.0)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    root = tmp_path_factory.mktemp("views")
    return open_folder(plant(root, *(f"{k}/{n}.png" for k in "ab" for n in range(4)))).splits[
        "train"
    ]


def batches(split: Split, augment: Augment, *views: View, **changes: object) -> list[Batch]:
    made = TrainBatches(
        split,
        preprocess=PREPROCESS,
        augment=augment,
        batch_size=4,
        seed=3,
        steps=4,
        workers=0,
        views=views,
    )
    return list(replace(made, **changes))


def test_the_first_version_is_the_same_with_and_without_others(split: Split):
    alone = batches(split, CROPPED)
    beside = batches(split, CROPPED, View(), View(augment=PLAIN))
    for a, b in zip(alone, beside, strict=True):
        assert torch.equal(a.images, b.images)
        assert a.views == ()
        assert [each.shape for each in b.views] == [(4, 3, 12, 12)] * 2


def test_a_view_without_augmentation_repeats_the_draws_of_the_first(split: Split):
    augment = replace(CROPPED, erase=Erase(probability=1.0), rand_augment=RandAugment())
    for batch in batches(split, augment, View()):
        assert torch.equal(batch.views[0], batch.images)


def test_a_view_that_repeats_the_first_is_the_first_and_costs_nothing(split: Split):
    augment = replace(CROPPED, erase=Erase(probability=1.0), mixing=Mixing(mixup=1.0))
    views = View(), View(image_size=12), View(image_size=24), View(augment=CROPPED)
    for batch, other in zip(
        batches(split, augment, *views), batches(split, augment, *views[2:]), strict=True
    ):
        assert [each.shape[-1] for each in batch.views] == [12, 12, 24, 12]
        assert batch.views[0] is batch.images
        assert batch.views[1] is batch.images
        assert torch.equal(batch.views[2], other.views[0])


def test_a_larger_view_is_the_same_crop(split: Split):
    for batch in batches(split, CROPPED, View(image_size=48)):
        assert batch.views[0].shape == (4, 3, 48, 48)
        shrunk = F.interpolate(batch.views[0], size=12, mode="bilinear", antialias=True)
        alike = (shrunk - batch.images).flatten(1).abs().mean(1)
        others = (shrunk.roll(1, 0) - batch.images).flatten(1).abs().mean(1)
        assert (alike < others / 2).all()


def test_views_with_the_same_augmentation_have_draws_of_their_own(split: Split):
    erased = replace(PLAIN, erase=Erase(probability=1.0))
    for augment in (CROPPED, erased):
        for batch in batches(split, augment, View(augment=augment), View(augment=augment)):
            versions = (batch.images, *batch.views)
            pairs = [(a, b) for n, a in enumerate(versions) for b in versions[:n]]
            assert not any(torch.equal(a, b) for a, b in pairs)


def test_all_versions_are_mixed_with_the_same_partner_and_weight(split: Split):
    mixed = replace(PLAIN, mixing=Mixing(mixup=1.0))
    plain = batches(split, PLAIN)
    for before, after in zip(plain, batches(split, mixed, View(augment=PLAIN)), strict=True):
        assert torch.equal(after.views[0], after.images)
        assert not torch.equal(after.images, before.images)
        weight = after.targets.max(1).values.min()
        assert 0.5 <= weight <= 1


def test_views_are_the_same_with_workers_and_after_an_interruption(split: Split):
    views = (View(augment=CROPPED), View(image_size=20))
    augment = replace(CROPPED, mixing=Mixing(mixup=0.5))
    whole = batches(split, augment, *views)
    with_worker = batches(split, augment, *views, workers=1)
    resumed = batches(split, augment, *views, start_step=2)
    for ours, theirs in [
        *zip(whole, with_worker, strict=True),
        *zip(whole[2:], resumed, strict=True),
    ]:
        assert all(torch.equal(a, b) for a, b in zip(ours.views, theirs.views, strict=True))


def test_a_batch_moves_with_its_views_and_what_is_beside_it():
    def small(views: tuple[torch.Tensor, ...] = (), unlabelled: Batch | None = None) -> Batch:
        return Batch(torch.ones(1, 3, 2, 2), torch.zeros(1), torch.zeros(1), views, unlabelled)

    batch = small((torch.ones(1), torch.ones(2)), small((torch.ones(3),)))
    moved = batch.to(torch.device("meta"))
    assert moved.views[1].is_meta
    assert moved.unlabelled is not None
    assert moved.unlabelled.views[0].is_meta


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: View(image_size=0), "image_size=0; give at least 1"),
        (lambda: View(augment=Augment(mixing=Mixing(mixup=1.0))), "mixing of its own; set it on"),
        (
            lambda: View(image_size=24).check(Augment(mixing=Mixing(cutmix=1.0)), PREPROCESS),
            "would not be the same; use mixup",
        ),
        (
            lambda: View(augment=Augment(rand_augment=RandAugment())).check(
                Augment(crop=PadCrop()), Preprocess.for_channels(4)
            ),
            "channels=4 with rand_augment",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(RecipeError, match=message):
        make()
