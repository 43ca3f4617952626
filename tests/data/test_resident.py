"""Pictures that lie on the device: the same crops as one by one, from other draws."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from tests.data.album import encoded, in_memory, noise, plant

from vertebra.contracts import Batch
from vertebra.data import resident
from vertebra.data.augment import Augment
from vertebra.data.blur import Blur
from vertebra.data.crops import Crop, PadCrop, RandomResizedCrop, Resize
from vertebra.data.draws import uniforms
from vertebra.data.erase import Erase
from vertebra.data.examine import examine, keep
from vertebra.data.folder import open_folder
from vertebra.data.images import Split
from vertebra.data.jitter import ColorJitter
from vertebra.data.loader import TrainBatches
from vertebra.data.mixing import Mixing
from vertebra.data.pixels import Pixels, pixels_of
from vertebra.data.preprocess import Preprocess
from vertebra.data.randaugment import RandAugment
from vertebra.data.resident import is_resident
from vertebra.data.resize import resized
from vertebra.data.survey import survey
from vertebra.data.views import View, versions
from vertebra.errors import DataError
from vertebra.seeding import seeded

RAW = Preprocess(image_size=12, mean=(0.0,) * 3, std=(1 / 255,) * 3)
GREY = Preprocess.for_channels(1, image_size=8)
NAMES = [f"{kind}/{number}.png" for kind in "abc" for number in range(5)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEBRA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return plant(tmp_path / "images", *NAMES)


def opened(folder: Path, **how) -> Split:
    return survey(open_folder(folder), channels=3, **how).usable.splits["train"]


@pytest.fixture
def split(folder: Path) -> Split:
    return opened(folder)


def training(split: Split, **changes: object) -> TrainBatches:
    batches = TrainBatches(split, preprocess=RAW, augment=Augment(), batch_size=4, seed=3, steps=12)
    made = replace(batches, **changes)
    assert stays(made.split, made.augment, *made.views, preprocess=made.preprocess)
    return made


def stays(split: Split, augment: Augment, *views: View, preprocess: Preprocess = RAW) -> bool:
    return is_resident(split, versions(augment, preprocess, views))


def same(ours: list[Batch], theirs: list[Batch]) -> bool:
    return len(ours) == len(theirs) > 0 and all(
        torch.equal(a, b)
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(parts(one), parts(other), strict=True)
    )


def parts(batch: Batch) -> tuple[torch.Tensor, ...]:
    return batch.images, batch.targets, batch.index, *batch.views


def together(*batches: Batch) -> Batch:
    return Batch(*(torch.cat(each) for each in zip(*map(parts, batches), strict=True)))


def batch_of(crop: Crop, draws: np.ndarray, pixels: list[Pixels], preprocess: Preprocess):
    images = torch.from_numpy(np.stack(pixels).transpose(0, 1, 3, 2).copy())  # [N, H, C, W]
    made = Augment(crop=crop).sample_batch(images, draws, preprocess)
    return made.permute(0, 2, 3, 1).numpy()  # [N, S, S, C]


# what is made of a picture


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "shape"), [(12, (32, 32)), (32, (32, 32)), (48, (20, 27))])
def test_crops_are_those_of_single_pictures_up_to_rounding(interpolation, size, shape):
    spec = Preprocess(image_size=size, interpolation=interpolation)
    crop = RandomResizedCrop()
    pixels = [pixels_of(noise(shape[1], shape[0], seed=seed)) for seed in range(60)]
    draws = uniforms(0, np.arange(60), np.arange(60), count=Augment(crop=crop).draws)
    windows = crop.windows(draws[:, 1:], shape, spec)
    made = batch_of(crop, draws, pixels, spec)
    for place, (picture, one) in enumerate(zip(pixels, made, strict=True)):
        (top, left), (bottom, right) = (
            end[:, place].astype(int) for end in (windows.start, windows.stop)
        )
        expected = resized(picture[top:bottom, left:right], size, interpolation)
        if draws[place, 0] < 0.5:
            expected = expected[:, ::-1]
        assert np.abs(one - expected).max() <= 2


def test_padded_pictures_are_moved_exactly():
    spec = Preprocess(image_size=16)
    crop = PadCrop(padding=3)
    pixels = [pixels_of(noise(16, 16, seed=seed)) for seed in range(40)]
    draws = uniforms(0, np.arange(40), np.arange(40), count=3)
    made = batch_of(crop, draws, pixels, spec)
    for picture, one, (flip, *place) in zip(pixels, made, draws, strict=True):
        top, left = (int(each * 7) for each in place)
        padded = np.pad(picture, ((3, 3), (3, 3), (0, 0)))[top : top + 16, left : left + 16]
        assert np.array_equal(one, padded[:, ::-1] if flip < 0.5 else padded)


@pytest.mark.parametrize("crop", [PadCrop(padding=0), Resize()])
@pytest.mark.parametrize("fraction", [0.8, 1.0])
def test_without_chance_a_picture_is_as_in_evaluation(crop: Crop, fraction: float):
    spec = Preprocess(image_size=16, crop_fraction=fraction)
    for size in ((16, 16), (30, 20)):
        picture = noise(*size)
        draws = np.full((1, Augment(crop=crop).draws), 0.9)
        (made,) = batch_of(crop, draws, [pixels_of(picture)], spec)
        whole = {"crop_fraction": 1.0} if isinstance(crop, PadCrop) else {}
        expected = pixels_of(spec.centre(picture, **whole))
        is_exact = size == (16, 16) and (fraction == 1.0 or isinstance(crop, PadCrop))
        assert np.abs(made - expected).max() <= (0 if is_exact else 2)


# draws


@pytest.mark.parametrize("crop", [RandomResizedCrop(), RandomResizedCrop(scale=(0.8, 1.0))])
@pytest.mark.parametrize("shape", [(32, 32), (8, 8), (20, 45)])
def test_boxes_are_distributed_as_those_of_single_pictures(crop, shape):
    height, width = shape
    count = 4000
    draws = uniforms(1, np.zeros(count, np.int64), np.arange(count), count=crop.draws)
    windows = crop.windows(draws, shape, RAW)
    ours = np.concatenate((windows.start[::-1], windows.stop[::-1])).T
    with seeded(0):
        theirs = np.array([crop.box(width, height) for _ in range(count)])
    for figure in (
        lambda box: box[:, 0],
        lambda box: box[:, 1],
        lambda box: box[:, 2] - box[:, 0],
        lambda box: box[:, 3] - box[:, 1],
        lambda box: (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]),
        lambda box: (box[:, 2] - box[:, 0]) / (box[:, 3] - box[:, 1]),
    ):
        assert stats.ks_2samp(figure(ours), figure(theirs)).pvalue > 1e-3


def test_a_part_that_never_fits_is_the_centre_of_single_pictures():
    crop = RandomResizedCrop(scale=(1.0, 1.0), ratio=(3.0, 3.0))
    draws = uniforms(1, np.arange(5), np.arange(5), count=crop.draws)
    windows = crop.windows(draws, (20, 20), RAW)
    box = crop.box(20, 20)
    found = np.concatenate((windows.start[::-1], windows.stop[::-1])).T
    assert (found == box).all()


def test_every_move_and_both_sides_come_equally_often():
    count, crop = 5000, PadCrop(padding=2)
    draws = uniforms(1, np.zeros(count, np.int64), np.arange(count), count=crop.draws + 1)
    shift = crop.windows(draws[:, 1:], (12, 12), RAW).shift
    assert (shift.min(), shift.max()) == (-2, 2)
    moves = np.unique(shift, axis=1, return_counts=True)[1]
    assert len(moves) == 25 and stats.chisquare(moves).pvalue > 1e-3
    assert abs((draws[:, 0] < 0.5).mean() - 0.5) < 0.03


def test_an_image_is_changed_alike_wherever_it_stands(split: Split):
    four = together(*training(split, steps=15))
    three = together(*training(split, batch_size=3, steps=20))
    two = [training(split, rank=rank, world=2, steps=15) for rank in (0, 1)]
    halves = training(split, accumulate=2, steps=15)
    for other in (
        three,
        together(*(each for pair in zip(*two, strict=True) for each in pair)),
        together(*halves),
    ):
        assert torch.equal(other.index, four.index)
        torch.testing.assert_close(other.images, four.images, atol=1e-3, rtol=0)
    assert not torch.equal(four.images, together(*training(split, steps=15, seed=4)).images)


def test_passes_differ_and_cover_every_image(split: Split):
    made = together(*training(split, batch_size=15, steps=2))
    for start in (0, 15):
        assert sorted(made.index[start : start + 15].tolist()) == list(range(15))
    for sample in range(15):
        first, second = (made.images[place] for place in (made.index == sample).nonzero())
        assert not torch.equal(first, second)


# batches


FULL = {
    "augment": Augment(erase=Erase(), mixing=Mixing(mixup=0.2, cutmix=1.0)),
    "views": (View(), View(augment=Augment(crop=PadCrop(), erase=Erase()))),
}


def test_a_run_goes_on_from_any_step_to_the_bit(split: Split):
    for changes in ({}, FULL):
        whole = list(training(split, accumulate=2, **changes))
        assert same(whole, list(training(split, accumulate=2, **changes)))
        rest = list(training(split, accumulate=2, start_step=5, **changes))
        assert same(rest, whole[10:])
    assert list(training(split, start_step=12)) == []


@pytest.mark.parametrize("augment", [Augment(), Augment(crop=PadCrop()), FULL["augment"]])
def test_batches_have_the_form_of_those_read_one_by_one(split: Split, augment: Augment):
    for layout in (torch.channels_last, torch.contiguous_format):
        changes = {"augment": augment, "layout": layout, "classes": 7}
        ours = list(training(split, **changes))
        one_by_one = replace(training(split, **changes), split=replace(split, size=None))
        for one, other in zip(ours, one_by_one, strict=True):
            assert torch.equal(one.index, other.index)
            assert one.targets.dtype == other.targets.dtype
            assert one.targets.shape == other.targets.shape
            assert one.images.dtype == other.images.dtype == torch.float32
            assert one.images.shape == other.images.shape == (4, 3, 12, 12)
            if augment.mixing is None:
                assert torch.equal(one.targets, other.targets)
                assert one.images.is_contiguous(memory_format=layout)


def test_still_pictures_are_those_read_one_by_one(split: Split):
    still = {"augment": Augment(crop=Resize(), flip=0.0), "preprocess": replace(RAW, image_size=8)}
    ours = training(split, **still)
    one_by_one = replace(ours, split=replace(split, size=None))
    for one, other in zip(ours, one_by_one, strict=True):
        assert torch.equal(one.index, other.index)
        assert (one.images - other.images).abs().max() <= 2


def test_targets_may_be_others_than_labels(split: Split):
    targets = torch.rand(15, 4)
    for batch in training(split, targets=targets):
        assert torch.equal(batch.targets, targets[batch.index])


def test_views_have_their_sizes_and_draws(split: Split):
    views = View(), View(image_size=24), View(augment=Augment())
    for batch in training(split, views=views):
        same_, larger, other = batch.views
        assert same_ is batch.images
        assert larger.shape == (4, 3, 24, 24)
        shrunk = torch.nn.functional.interpolate(larger, 12, mode="bilinear", antialias=True)
        assert (shrunk - batch.images).abs().mean() < (other - batch.images).abs().mean() / 2


def test_no_worker_is_started_and_generators_outside_are_left_alone(
    split: Split, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vertebra.data.loader._load", None)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(training(split, workers=2, **FULL))
    assert torch.equal(torch.rand(3), expected)


def test_grey_pictures_of_several_sources_are_served():
    split = in_memory(20)
    split = keep(split, examine(split, channels=1, full=True))
    raw = replace(GREY, mean=(0.0,), std=(1 / 255,))
    for batch in training(split, preprocess=raw):
        assert torch.allclose(batch.images[:, 0, 0, 0], batch.index.float(), atol=1e-3)
        assert torch.equal(batch.targets, batch.index % 2)


# which data sets


def test_the_choice_depends_on_data_and_recipe_alone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    kept = [opened(folder), opened(folder), opened(folder, keeps=False)]
    monkeypatch.setenv("VERTEBRA_DECODED_MB", "0")
    kept += [opened(folder), opened(folder, full=False)]
    assert all(each.size == (8, 8) for each in kept)
    whole = list(training(kept[0], **FULL))
    assert all(same(list(training(each, **FULL)), whole) for each in kept)


def test_what_cannot_be_done_to_whole_batches_is_done_one_by_one(split: Split):
    assert stays(split, Augment(erase=Erase(), mixing=Mixing(mixup=1.0)), View(image_size=20))
    single = (
        Augment(rand_augment=RandAugment()),
        Augment(jitter=ColorJitter(hue=0.1)),
        Augment(grayscale=0.1),
        Augment(blur=Blur()),
    )
    for augment in single:
        assert not stays(split, augment)
        assert not stays(split, Augment(), View(augment=augment))
    assert not stays(split, Augment(), preprocess=Preprocess.for_channels(4))
    for interpolation in ("nearest", "lanczos"):
        assert not stays(split, Augment(), preprocess=replace(RAW, interpolation=interpolation))


def test_sizes_that_differ_and_many_pixels_are_read_one_by_one(
    folder: Path, split: Split, monkeypatch: pytest.MonkeyPatch
):
    assert stays(split.subset([3, 1]), Augment())
    for least, expected in ((15 * 8 * 8 * 3, True), (15 * 8 * 8 * 3 - 1, False)):
        with monkeypatch.context() as patch:
            patch.setattr(resident, "MOST_BYTES", least)
            assert stays(split, Augment()) == expected
    assert stays(split, Augment(), View(image_size=64))
    assert not stays(split, Augment(), View(image_size=65))
    assert not stays(split, Augment(), preprocess=replace(RAW, image_size=65))
    assert not stays(replace(split, size=(8, 65)), Augment())
    (folder / "a/0.png").write_bytes(encoded(noise(8, 9)))
    monkeypatch.setenv("VERTEBRA_DECODED_MB", "0")
    assert not stays(opened(folder), Augment())


# files that break after they were looked at


def test_a_broken_file_is_replaced_counted_and_named(folder: Path, split: Split):
    (folder / "a/0.png").write_bytes(b"broken")
    (folder / "b/3.png").write_bytes(encoded(noise(9, 8)))
    split = replace(split, reader=split.reader.source)
    batches = training(split, batch_size=5, steps=6)
    seen = list(batches)
    assert set(batches.quarantined) == {"a/0.png", "b/3.png"}
    assert "no known image format" in batches.quarantined["a/0.png"]
    assert batches.quarantined["b/3.png"] == "it has become 9 x 8 pixels since"
    one_by_one = list(replace(batches, split=replace(split, size=None)))
    (folder / "b/3.png").write_bytes(b"")
    one_by_one = list(replace(batches, split=replace(split, size=None)))
    for ours, theirs in zip(seen, one_by_one, strict=True):
        assert torch.equal(ours.index, theirs.index)
    assert same(list(replace(batches, start_step=2)), seen[2:])


def test_many_broken_files_in_a_row_end_the_run(
    folder: Path, split: Split, monkeypatch: pytest.MonkeyPatch
):
    split = replace(split, reader=split.reader.source)
    for name in NAMES[1:]:
        (folder / name).write_bytes(b"")
    assert {int(each) for batch in training(split) for each in batch.index} == {0}
    monkeypatch.setattr(resident, "MOST_UNREADABLE", 10)
    with pytest.raises(DataError, match="files in a row cannot be read"):
        list(training(split))
    (folder / NAMES[0]).write_bytes(b"")
    with pytest.raises(DataError, match="15 files in a row cannot be read"):
        list(training(split))
