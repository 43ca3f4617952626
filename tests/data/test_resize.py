"""Resizing agrees with Pillow's, which evaluation uses."""

import numpy as np
import pytest
import torch
from tests.data.album import noise

from vertebra.data.pixels import pixels_of
from vertebra.data.resize import RESAMPLING, Interpolation, resized


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(64, 48), (33, 97), (32, 32), (500, 31), (5, 9), (1, 1)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_pixels_are_pillows(interpolation: Interpolation, size: tuple[int, int], mode: str):
    picture = noise(*size, mode=mode)
    ours = resized(pixels_of(picture), 32, interpolation).astype(int)
    theirs = picture.resize((32, 32), RESAMPLING[interpolation])
    apart = np.abs(ours - np.asarray(theirs).reshape(32, 32, -1))
    assert apart.max() <= 2 and (apart > 0).mean() < 0.05


def test_pixels_are_the_same_on_any_number_of_threads():
    pixels = pixels_of(noise(300, 200))
    before, found = torch.get_num_threads(), list[bytes]()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(resized(pixels, 224, "bicubic").tobytes())
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_part_of_a_picture_and_its_mirror_image_can_be_resized():
    pixels = pixels_of(noise(40, 30))
    part = pixels[5:25, 3:33]
    assert np.array_equal(
        resized(part, 16, "bicubic"), resized(np.ascontiguousarray(part), 16, "bicubic")
    )
    mirrored = resized(part[:, ::-1], 16, "bicubic")
    apart = mirrored[:, ::-1].astype(int) - resized(part, 16, "bicubic")
    assert np.abs(apart).max() <= 1
