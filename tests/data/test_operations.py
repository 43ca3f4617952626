import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from tests.data.album import noise, smooth

from vertebra.data import operations as apply


def pictures() -> list[Image.Image]:
    """Returns noise and slopes of odd sizes, and what has few values or one."""
    bright = np.random.default_rng(0).random((13, 11, 3)) < 0.03
    few = [bright * 255, 30 + bright * 60, np.full((5, 4, 3), 77)]
    drawn = [noise(20, 14), smooth(31, 17), *(Image.fromarray(each.astype("u1")) for each in few)]
    tiny = [noise(width, height) for width, height in ((1, 1), (2, 2), (1, 5), (6, 2), (3, 3))]
    return [each.convert(mode) for each in drawn + tiny for mode in ("RGB", "L")]


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.mode == second.mode and np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("picture", pictures())
def test_what_maps_values_is_pillows(picture: Image.Image):
    assert same(apply.auto_contrast(picture), ImageOps.autocontrast(picture))
    assert same(apply.equalize(picture), ImageOps.equalize(picture))
    assert same(apply.invert(picture), ImageOps.invert(picture))
    for bits in range(9):
        assert same(apply.posterize(picture, bits), ImageOps.posterize(picture, bits))
    for threshold in (0, 0.5, 1, 128, 254.5, 255, 256, 1000):
        assert same(apply.solarize(picture, threshold), ImageOps.solarize(picture, threshold))
    for amount in (0, 1, 110, 127, 128, 300):
        raised = picture.point(lambda v, amount=amount: v if v > 127 else min(v + amount, 255))
        assert same(apply.raise_dark(picture, amount), raised)


@pytest.mark.parametrize("picture", pictures())
@pytest.mark.parametrize("factor", [0, 0.1, 0.73, 1, 1.27, 1.9, 6.4])
def test_what_moves_away_from_a_plainer_picture_is_pillows(picture: Image.Image, factor: float):
    assert same(apply.brightness(picture, factor), ImageEnhance.Brightness(picture).enhance(factor))
    assert same(apply.contrast(picture, factor), ImageEnhance.Contrast(picture).enhance(factor))
    assert same(apply.color(picture, factor), ImageEnhance.Color(picture).enhance(factor))
    assert same(apply.sharpness(picture, factor), ImageEnhance.Sharpness(picture).enhance(factor))


@pytest.mark.parametrize("picture", pictures())
def test_a_move_by_pixels_is_the_affine_one(picture: Image.Image):
    fill = 50 if picture.mode == "L" else (50, 60, 70)
    for right, down in ((0, 0), (2, -1), (-3, 0), (40, 0), (0, -40)):
        moved = (1, 0, -right, 0, 1, -down)
        affine = picture.transform(picture.size, Image.Transform.AFFINE, moved, fillcolor=fill)
        assert same(apply.translate(picture, right, down, fill), affine)


def test_operations_leave_their_picture_as_it_was():
    picture = noise(9, 8)
    before = np.array(picture)
    apply.invert(picture), apply.solarize(picture, 9), apply.sharpness(picture, 2)
    apply.translate(picture, 1, 1, 0), apply.auto_contrast(picture), apply.posterize(picture, 3)
    assert np.array_equal(np.asarray(picture), before)
