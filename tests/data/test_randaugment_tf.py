import numpy as np
import pytest
from PIL import Image
from tests.data.album import noise, smooth
from torchvision.transforms import v2

from vertebra.data.randaugment_tf import OPERATIONS
from vertebra.seeding import seeded


def applied(name: str, picture: Image.Image, level: float, scale: float = 1.0) -> np.ndarray:
    with seeded(0):
        return np.asarray(OPERATIONS[name](picture, level, scale)).astype(int)


def signed(name: str, picture: Image.Image, level: float, scale: float = 1.0) -> list[np.ndarray]:
    """Returns what an operation gives for either sign, most often seen first in 20 draws."""
    seen: dict[bytes, np.ndarray] = {}
    for seed in range(20):
        with seeded(seed):
            result = np.asarray(OPERATIONS[name](picture, level, scale)).astype(int)
        seen[result.tobytes()] = result
    assert len(seen) == 2
    return list(seen.values())


def moved(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns pixels[rows, columns], 128 where that is outside: the plain loop, vectorised."""
    height, width = pixels.shape[:2]
    is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    taken = pixels[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return np.where(is_inside.reshape(is_inside.shape + (1,) * (pixels.ndim - 2)), taken, 128)


PICTURES = [noise(20, 14), noise(20, 14, mode="L")]


def equals_one_of(results: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return sorted(each.tolist() for each in results) == sorted(each.tolist() for each in expected)


def test_there_are_the_sixteen_operations_of_the_paper_and_no_identity():
    assert len(OPERATIONS) == 16
    assert {"Cutout", "Invert", "SolarizeAdd"} < set(OPERATIONS)
    assert "Identity" not in OPERATIONS


@pytest.mark.parametrize("picture", PICTURES)
def test_translations_count_pixels_not_shares(picture: Image.Image):
    pixels = np.asarray(picture).astype(int)
    y, x = np.mgrid[0:14, 0:20]
    results = signed("TranslateX", picture, 0.05)
    assert equals_one_of(results, [moved(pixels, y, x + 5), moved(pixels, y, x - 5)])
    results = signed("TranslateY", picture, 0.1, 0.4)
    assert equals_one_of(results, [moved(pixels, y + 4, x), moved(pixels, y - 4, x)])


@pytest.mark.parametrize("picture", PICTURES)
def test_shears_slant_by_three_tenths_at_full_scale(picture: Image.Image):
    pixels = np.asarray(picture).astype(int)
    y, x = np.mgrid[0:14, 0:20] + 0.5
    rows, columns = np.floor(y).astype(int), np.floor(x).astype(int)
    along = [np.floor(x + sign * 0.3 * y).astype(int) for sign in (1, -1)]
    results = signed("ShearX", picture, 1.0)
    assert equals_one_of(results, [moved(pixels, rows, each) for each in along])
    along = [np.floor(y + sign * 0.45 * x).astype(int) for sign in (1, -1)]
    results = signed("ShearY", picture, 1.5)
    assert equals_one_of(results, [moved(pixels, each, columns) for each in along])


def test_rotation_is_thirty_degrees_at_full_scale_and_no_limit():
    picture = smooth(31, 31)
    for level, degrees in ((1.0, 30), (1.5, 45)):
        expected = [picture.rotate(sign * degrees, fillcolor=(128,) * 3) for sign in (1, -1)]
        results = signed("Rotate", picture, level)
        assert equals_one_of(results, [np.asarray(each).astype(int) for each in expected])


@pytest.mark.parametrize("picture", PICTURES)
def test_posterize_and_solarize_weaken_as_magnitude_grows(picture: Image.Image):
    pixels = np.asarray(picture).astype(int)
    for level, bits in ((0.5, 2), (1.0, 4), (1.5, 6), (2.0, 8), (3.0, 8)):
        kept = pixels >> (8 - bits) << (8 - bits)
        assert np.array_equal(applied("Posterize", picture, level), kept)
    for level in (0.5, 1.0, 1.5):
        flipped = np.where(pixels < int(256 * level), pixels, 255 - pixels)
        assert np.array_equal(applied("Solarize", picture, level), flipped)
    assert np.array_equal(applied("Solarize", picture, 1.5), pixels)


@pytest.mark.parametrize("picture", PICTURES)
def test_simple_operations_are_what_they_are_called(picture: Image.Image):
    pixels = np.asarray(picture).astype(int)
    raised = np.where(pixels < 128, np.minimum(pixels + 110, 255), pixels)
    assert np.array_equal(applied("SolarizeAdd", picture, 1.0), raised)
    assert np.array_equal(applied("Invert", picture, 1.0), 255 - pixels)
    functional = v2.functional
    for name, theirs in (
        ("AutoContrast", functional.autocontrast(picture)),
        ("Equalize", functional.equalize(picture)),
        ("Brightness", functional.adjust_brightness(picture, 2.8)),
        ("Color", functional.adjust_saturation(picture, 2.8)),
        ("Contrast", functional.adjust_contrast(picture, 2.8)),
        ("Sharpness", functional.adjust_sharpness(picture, 2.8)),
    ):
        assert np.array_equal(applied(name, picture, 1.5), np.asarray(theirs).astype(int)), name


@pytest.mark.parametrize("name", ["Color", "Contrast", "Brightness", "Sharpness"])
def test_colour_operations_change_nothing_at_half_scale(name: str):
    picture = noise(9, 9)
    assert np.array_equal(applied(name, picture, 0.5), np.asarray(picture))


@pytest.mark.parametrize("picture", PICTURES)
def test_cutout_covers_a_square_around_any_pixel(picture: Image.Image):
    pixels = np.asarray(picture).astype(int)
    corners = set()
    for seed in range(60):
        with seeded(seed):
            holed = np.asarray(OPERATIONS["Cutout"](picture, 0.5, 0.2)).astype(int)
        changed = holed != pixels
        changed = changed.any(-1) if changed.ndim == 3 else changed
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert len(rows) <= 8 and len(columns) <= 8  # half side 40 * 0.5 * 0.2
        assert (holed[changed] == 128).all()
        assert len(rows) * len(columns) - changed.sum() < 4  # noise can be 128 itself
        corners.add((rows[0], columns[0]))
    assert len(corners) > 30
    assert np.array_equal(np.asarray(picture), pixels)
