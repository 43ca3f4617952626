from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.album import noise, smooth
from torchvision.transforms import InterpolationMode, v2

from vertebra.contracts import Batch
from vertebra.data.augment import Augment, Solarize
from vertebra.data.blur import Blur, blurred
from vertebra.data.crops import PadCrop, RandomResizedCrop, Resize
from vertebra.data.erase import Erase
from vertebra.data.jitter import ColorJitter
from vertebra.data.mixing import Mixing
from vertebra.data.pixels import Pixels, picture_of, pixels_of
from vertebra.data.preprocess import Preprocess, pack
from vertebra.data.randaugment import RandAugment
from vertebra.errors import RecipeError
from vertebra.seeding import seeded

SMALL = Preprocess(image_size=16)
STILL = Augment(crop=Resize(), flip=0.0)
EVERYTHING = Augment(
    rand_augment=RandAugment(), jitter=ColorJitter(brightness=0.4, contrast=0.4, hue=0.1)
)


def drawn(augment: Augment, seed: int, preprocess: Preprocess = SMALL) -> Pixels:
    with seeded(seed):
        return augment.sample(pixels_of(smooth(40, 30)), preprocess)


@pytest.mark.parametrize("augment", [Augment(), EVERYTHING, Augment(crop=PadCrop())])
def test_the_same_seed_gives_the_same_picture_and_another_another(augment: Augment):
    assert np.array_equal(drawn(augment, 1), drawn(augment, 1))
    assert len({drawn(augment, seed).tobytes() for seed in range(10)}) > 5


def test_the_default_is_torchvisions_crop_and_flip_and_nothing_else():
    crop = v2.RandomResizedCrop(16, interpolation=InterpolationMode.BICUBIC)
    picture = noise(40, 30)
    for seed in range(20):
        with seeded(seed):
            ours = Augment().sample(pixels_of(picture), SMALL)
        with seeded(seed):
            theirs = crop(picture)
            if torch.rand(()) < 0.5:
                theirs = v2.functional.horizontal_flip(theirs)
        assert np.abs(ours - np.asarray(theirs, dtype=int)).max() <= 2


def test_without_chance_a_picture_is_as_in_evaluation():
    picture = noise(40, 30)
    pixels = pixels_of(picture)
    assert torch.equal(pack([STILL.sample(pixels, SMALL)])[0], SMALL.evaluation(picture))
    mirrored = replace(STILL, flip=1.0).sample(pixels, SMALL)
    assert torch.equal(pack([mirrored])[0].flip(-1), SMALL.evaluation(picture))


def test_half_of_all_pictures_are_mirrored():
    flipped = sum(
        not np.array_equal(drawn(replace(STILL, flip=0.5), seed), drawn(STILL, 0))
        for seed in range(100)
    )
    assert 30 < flipped < 70


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_mirror_image_is_the_picture_from_right_to_left(channels: int):
    preprocess = Preprocess.for_channels(channels, image_size=9)
    pixels = pixels_of(noise(13, 11, mode={1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    for crop in (Resize(), PadCrop(padding=0)):
        plain = Augment(crop=crop, flip=0).sample(pixels, preprocess)
        mirrored = Augment(crop=crop, flip=1).sample(pixels, preprocess)
        assert np.array_equal(mirrored, plain[:, ::-1])


def test_padding_moves_a_picture_by_every_step_up_to_itself():
    pixels = pixels_of(noise(16, 16))
    spec = Preprocess(image_size=16, crop_fraction=0.875)
    padded = np.pad(pixels, ((2, 2), (2, 2), (0, 0)))
    moves = {padded[y : y + 16, x : x + 16].tobytes() for y in range(5) for x in range(5)}
    with seeded(0):
        seen = {PadCrop(padding=2).sample(pixels, spec).tobytes() for _ in range(300)}
    assert seen == moves


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_number_of_channels_can_be_cropped_and_flipped(channels: int):
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    spec = Preprocess.for_channels(channels, image_size=16)
    for crop in (RandomResizedCrop(), PadCrop(), Resize()):
        pixels = Augment(crop=crop).sample(pixels_of(noise(20, 30, mode=mode)), spec)
        assert pixels.shape == (16, 16, channels) and pixels.dtype == np.uint8


def test_grey_pictures_take_every_operation():
    spec = Preprocess.for_channels(1, image_size=16)
    for seed in range(40):
        with seeded(seed):
            pixels = EVERYTHING.sample(pixels_of(noise(20, 30, mode="L")), spec)
        assert pixels.shape == (16, 16, 1)


def test_colour_operations_on_alpha_are_refused():
    with pytest.raises(RecipeError, match="channels=4 with rand_augment or jitter"):
        EVERYTHING.check(Preprocess.for_channels(4))
    with pytest.raises(RecipeError, match="channels=4 with jitter or grayscale or solarize, for"):
        COLOURS.check(Preprocess.for_channels(4))
    EVERYTHING.check(Preprocess.for_channels(1))
    Augment(blur=Blur()).check(Preprocess.for_channels(4))
    Augment().check(Preprocess.for_channels(4))


COLOURS = Augment(
    jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, probability=0.8),
    grayscale=0.2,
    blur=Blur(),
    solarize=Solarize(),
)


def test_parts_that_are_left_out_take_no_draws():
    """Runs of recipes that were there before these parts stay what they were."""
    jitter = ColorJitter(brightness=0.4, hue=0.1)
    pixels = pixels_of(noise(40, 30))
    for seed in range(10):
        with seeded(seed):
            ours = Augment(jitter=jitter).sample(pixels, SMALL)
        with seeded(seed):
            theirs = picture_of(Augment().sample(pixels, SMALL))
            theirs = v2.ColorJitter(brightness=0.4, hue=0.1)(theirs)
        assert np.array_equal(ours, np.asarray(theirs))


def test_every_version_of_the_colours_is_another_picture():
    assert len({drawn(COLOURS, seed).tobytes() for seed in range(30)}) == 30
    assert np.array_equal(drawn(COLOURS, 3), drawn(COLOURS, 3))


def is_changed(augment: Augment, seed: int) -> bool:
    pixels = pixels_of(noise(16, 16))
    with seeded(seed):
        return not np.array_equal(augment.sample(pixels, FULL), pixels)


FULL = Preprocess(image_size=16, crop_fraction=1.0)
NEVER_AND_ALWAYS = [
    lambda p: {"jitter": ColorJitter(brightness=0.4, probability=p)},
    lambda p: {"grayscale": p},
    lambda p: {"blur": Blur(probability=p, sigma=(1.0, 1.0))},
    lambda p: {"solarize": Solarize(probability=p)},
]


@pytest.mark.parametrize("part", NEVER_AND_ALWAYS)
def test_each_part_is_done_as_often_as_it_says(part):
    counts = [
        sum(is_changed(replace(STILL, **part(p)), seed) for seed in range(100))
        for p in (0.0, 0.3, 1.0)
    ]
    assert counts[0] == 0
    assert 15 < counts[1] < 45
    assert counts[2] > 95  # a factor of almost 1 changes nothing


def test_a_picture_without_colours_has_the_luma_in_each_channel():
    pixels = pixels_of(noise(16, 16))
    grey = replace(STILL, grayscale=1.0).sample(pixels, FULL)
    luma = pixels.astype(float) @ (0.299, 0.587, 0.114)
    assert (np.abs(grey - luma[..., None]) <= 1).all()


def test_solarizing_inverts_the_upper_half_of_the_range():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = np.asarray(Solarize(probability=1.0).sample(Image.fromarray(ramp)))
    assert np.array_equal(found, np.where(ramp < 128, ramp, 255 - ramp))


@pytest.mark.parametrize("size", [(224, 224), (96, 40), (16, 16)])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_blur_is_torchvisions_with_a_kernel_of_a_tenth_of_the_side(size, sigma, mode):
    picture = noise(*size, mode=mode)
    kernel = {224: 23, 40: 5, 16: 3}[min(size)]
    theirs = v2.functional.gaussian_blur(picture, [kernel, kernel], [sigma, sigma])
    ours = np.asarray(blurred(picture, sigma)).astype(int)
    assert np.abs(ours - np.asarray(theirs)).max() <= 1


def test_blur_leaves_an_even_picture_alone():
    grey = Image.new("RGB", (20, 30), (7, 128, 255))
    assert blurred(grey, 2.0).tobytes() == grey.tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_take_every_colour_operation(channels: int):
    spec = Preprocess.for_channels(channels, image_size=16)
    mode = {1: "L", 3: "RGB"}[channels]
    for seed in range(20):
        with seeded(seed):
            pixels = COLOURS.sample(pixels_of(noise(20, 30, mode=mode)), spec)
        assert pixels.shape == (16, 16, channels)


def test_erasing_and_mixing_finish_a_batch():
    batch = Batch(torch.randn(6, 3, 8, 8), torch.arange(6) % 2, torch.arange(6))
    assert Augment().mix(batch, 2) is batch
    assert Augment().cover(batch.images) is batch.images
    augment = Augment(erase=Erase(probability=1.0), mixing=Mixing(mixup=0.2))
    with seeded(0):
        done = augment.mix(replace(batch, images=augment.cover(batch.images)), 2)
    assert done.targets.shape == (6, 2)
    assert not torch.equal(done.images, batch.images)
    assert torch.equal(done.index, batch.index)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augment(flip=1.5), "flip=1.5; give a probability"),
        (lambda: Augment(grayscale=-0.1), "grayscale=-0.1; give a probability"),
        (lambda: ColorJitter(probability=1.1), "probability=1.1; give a probability"),
        (lambda: Solarize(probability=2.0), "probability=2.0; give a probability"),
        (lambda: Solarize(threshold=128.0), "threshold=128.0; give a share of the range"),
        (lambda: Blur(probability=-1.0), "probability=-1.0; give a share"),
        (lambda: Blur(sigma=(2.0, 0.1)), "sigma=(2.0, 0.1); give a smallest and a largest"),
        (lambda: PadCrop(padding=-1), "padding=-1; give zero or more"),
        (lambda: RandomResizedCrop(scale=(0.0, 1.0)), "scale=(0.0, 1.0); give a smallest"),
        (lambda: RandomResizedCrop(ratio=(2.0, 1.0)), "ratio=(2.0, 1.0); give a smallest"),
        (lambda: ColorJitter(hue=0.6), "hue=0.6; give zero or more, hue at most 0.5"),
        (lambda: RandAugment(pool="timm"), "pool='timm'; choose tf or torchvision"),
        (lambda: RandAugment(count=-1), "count=-1 and magnitude=10.0; both must be zero or more"),
        (lambda: RandAugment(pool="torchvision", magnitude=31), "a whole number from 0 to 30"),
        (lambda: RandAugment(pool="torchvision", magnitude=9.5), "a whole number from 0 to 30"),
        (lambda: RandAugment(reference_px=0), "reference_px=0; give a size"),
        (lambda: Erase(probability=2.0), "probability=2.0; give a share"),
        (lambda: Erase(area=(0.5, 0.1)), "area=(0.5, 0.1); give a smallest"),
        (lambda: Erase(aspect=(0.0, 0.1)), "aspect=(0.0, 0.1); give a smallest"),
        (lambda: Erase(mode="rand"), "mode='rand'; choose constant or pixel"),
        (lambda: Mixing(mixup=-0.1), "mixup=-0.1 and cutmix=0.0; give zero or more"),
        (lambda: Mixing(probability=1.1), "probability=1.1 and switch=0.5; give shares"),
    ],
)
def test_a_spec_out_of_range_is_refused(make, message: str):
    with pytest.raises(RecipeError) as caught:
        make()
    assert message in str(caught.value)
