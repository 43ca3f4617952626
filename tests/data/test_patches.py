"""Patches of one picture: always the same, of the right size, and from nowhere else."""

import builtins
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vertebra.data.augment import Augment
from vertebra.data.crops import PadCrop
from vertebra.data.loader import TrainBatches
from vertebra.data.mixing import Mixing
from vertebra.data.patches import AREA, RATIO, Patches, draw_sides
from vertebra.data.photos import is_photo, open_photo
from vertebra.data.preprocess import Preprocess
from vertebra.errors import DataError, RecipeError
from vertebra.seeding import seeded

CHINA = Patches(image="china", count=40, size_px=24)


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """A picture without a dark pixel."""
    noise = np.random.default_rng(0).integers(100, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "bright.png")
    return tmp_path / "bright.png"


def pixels(patches: Patches) -> np.ndarray:
    """Returns all patches: [n, S, S, 3]."""
    split = patches.open(seed=0)
    return np.stack([np.asarray(split.open(each, 3)) for each in range(len(split))])


def test_patches_have_their_size_and_no_classes():
    split = CHINA.open(seed=0)
    assert pixels(CHINA).shape == (40, 24, 24, 3)
    assert split.classes == ()
    assert split.name(7) == "china-0000007"
    assert not split.in_memory, "cutting is worth a worker process"


def test_a_patch_depends_on_its_number_and_the_seed_of_the_patches_alone():
    ours = CHINA.open(seed=0)
    theirs = CHINA.open(seed=99)
    torch.manual_seed(5)
    backwards = [np.asarray(theirs.open(each, 3)) for each in reversed(range(40))]
    assert (np.stack(backwards[::-1]) == pixels(CHINA)).all()
    assert (pixels(replace(CHINA, seed=1)) != pixels(CHINA)).any((1, 2, 3)).all()
    assert (np.asarray(ours.open(0, 3)) != np.asarray(ours.open(1, 3))).any()


def test_cutting_leaves_the_callers_draws_alone():
    split = CHINA.open(seed=0)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    split.open(0, 3)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_patch_has_the_channels_that_are_asked_for(channels, mode):
    assert CHINA.open(seed=0).open(3, channels).mode == mode


def test_a_patch_has_a_file_like_any_image():
    split = CHINA.open(seed=0)
    content = split.content(5)
    assert content.startswith(b"P6 24 24 255\n")
    assert content[13:] == split.open(5, 3).tobytes()


def test_the_share_of_the_area_is_even_and_its_form_within_bounds():
    """Up to three quarters, where every form fits inside; few of the others are drawn again."""
    with seeded(0):
        sides = np.array([draw_sides(1000) for _ in range(2000)])
    shares, ratios = sides.prod(1) / 1e6, sides[:, 0] / sides[:, 1]
    assert AREA[0] * 0.9 < shares.min() and shares.max() <= 1
    assert RATIO[0] * 0.98 < ratios.min() and ratios.max() < RATIO[1] * 1.02
    assert abs(np.mean(np.log(ratios[shares < 0.75]))) < 0.02
    counts, _ = np.histogram(shares, bins=5, range=(0, 0.75))
    assert counts.min() > 0.85 * counts.max()


def test_turned_patches_hardly_show_what_is_outside(bright):
    """The margin covers what a turn bares; only a slant, at the corners, can show black."""
    patches = pixels(Patches(image=str(bright), count=60, size_px=24))
    assert (patches.max(-1) < 20).mean() < 0.03
    assert (patches[:, 6:18, 6:18].max(-1) > 20).all()


def test_nothing_but_the_picture_is_read(bright, monkeypatch):
    opened: list[str] = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(str(self)) or real(self))
    split = Patches(image=str(bright), count=4, size_px=16).open(seed=0)
    monkeypatch.setattr(builtins, "open", lambda *a, **k: pytest.fail(f"opened {a}"))
    monkeypatch.setattr(Path, "open", lambda *a, **k: pytest.fail(f"opened {a}"))
    for each in range(4):
        split.open(each, 3)
    assert opened == [str(bright)]


def test_workers_cut_the_same_patches_and_batches_repeat():
    split = CHINA.open(seed=0)
    alone = TrainBatches(
        split,
        preprocess=Preprocess(image_size=24),
        augment=Augment(crop=PadCrop(), mixing=Mixing(cutmix=0.25)),
        batch_size=8,
        seed=0,
        steps=3,
        classes=5,
    )
    with_workers, resumed = replace(alone, workers=1), replace(alone, start_step=2)
    first = list(alone)
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, with_workers, strict=True))
    assert torch.equal(first[2].images, next(iter(resumed)).images)
    assert first[0].targets.shape == (8, 5)
    assert len(pickle.dumps(split)) < 2**20


@pytest.mark.parametrize("name", ["china", "flower"])
def test_the_bundled_photographs_are_there(name):
    assert open_photo(name).shape == (427, 640, 3)
    assert is_photo(name)


def test_a_picture_is_told_from_a_data_set(bright, tmp_path):
    (tmp_path / "images.zip").write_bytes(b"")
    (tmp_path / "list.csv").write_text("path,label")
    assert is_photo(str(bright))
    others = [tmp_path, tmp_path / "images.zip", tmp_path / "list.csv", tmp_path / "absent.png"]
    assert [path for path in others if is_photo(str(path))] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": ""}, "give a picture, or one of china, flower"),
        ({"count": 0}, "count=0, size_px=24, seed=0; give a count and a size of at least 1"),
        ({"size_px": 0}, "size of at least 1"),
        ({"seed": -1}, "seed of at least 0"),
    ],
)
def test_a_value_out_of_range_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        replace(CHINA, **changes)


def test_a_picture_that_is_missing_broken_or_small_is_refused(tmp_path):
    Image.new("RGB", (500, 40)).save(tmp_path / "strip.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name, message in [
        ("chian", "does not exist; did you mean 'china'?"),
        ("strip.png", "has 500 x 40 pixels, too few to cut patches from"),
        ("broken.png", "no known image format"),
    ]:
        where = name if name == "chian" else str(tmp_path / name)
        with pytest.raises(DataError, match=message):
            Patches(image=where).open(seed=0)
