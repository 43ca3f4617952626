"""Filters as matrices, against torch's and Pillow's own resizing."""

import numpy as np
import pytest
import torch
from tests.data.album import noise
from torch.nn import functional as F

from vertebra.data.pixels import pixels_of
from vertebra.data.preprocess import Preprocess
from vertebra.data.windows import Windows, matrices, resample

CPU = torch.device("cpu")


def boxes(count: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Returns top, bottom, left and right of boxes of every kind, one pixel and all among them."""
    random = np.random.default_rng(0)
    found = [(0, height, 0, width), (height - 1, height, 0, 1)]
    for _ in range(count - 2):
        top, left = random.integers(height), random.integers(width)
        bottom, right = random.integers(top, height) + 1, random.integers(left, width) + 1
        found.append((top, bottom, left, right))
    return found


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [1, 5, 12, 32, 50])
@pytest.mark.parametrize("shape", [(32, 32), (17, 40)])
def test_a_cut_is_resized_as_torch_does_it(interpolation, size, shape):
    height, width = shape
    parts = boxes(40, height, width)
    top, bottom, left, right = np.array(parts, dtype=np.float64).T
    images = torch.randint(256, (len(parts), height, 3, width), dtype=torch.uint8)
    how = {"sides": shape, "size": size, "interpolation": interpolation, "device": CPU}
    windows = Windows.cut(np.stack((top, left)), np.stack((bottom, right)))
    rows, columns = matrices(windows, np.zeros(len(parts), bool), **how)
    torch.testing.assert_close(rows.sum(2), torch.ones(len(parts), size))
    found = torch.einsum("nsh,nhcw,ntw->ncst", rows, images.float(), columns)
    for image, one, (top, bottom, left, right) in zip(images, found, parts, strict=True):
        part = image.float().permute(1, 0, 2)[None, :, top:bottom, left:right]
        theirs = F.interpolate(part, (size, size), mode=interpolation, antialias=True)[0]
        torch.testing.assert_close(one, theirs, atol=255e-4, rtol=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fraction", [0.6, 0.875, 1.0])
@pytest.mark.parametrize("size", [10, 32, 45])
def test_a_centre_is_pillows_up_to_rounding(interpolation, fraction, size):
    spec = Preprocess(image_size=size, interpolation=interpolation, crop_fraction=fraction)
    picture = noise(40, 30)
    windows = Windows.alike(spec.box(40, 30), (30, 40), shift=np.zeros((2, 1)))
    how = {"sides": (30, 40), "size": size, "interpolation": interpolation, "device": CPU}
    rows, columns = matrices(windows, np.array([False]), **how)
    images = torch.from_numpy(pixels_of(picture).copy()).permute(0, 2, 1)[None]
    found = resample(images, rows, columns)[0].permute(1, 2, 0)
    assert np.abs(found.numpy() - pixels_of(spec.centre(picture))).max() <= 2


def test_mirrored_columns_stand_in_the_opposite_order():
    windows = Windows.cut(np.full((2, 2), 2.0), np.full((2, 2), 7.0))
    how = {"sides": (9, 9), "size": 6, "interpolation": "bicubic", "device": CPU}
    rows, (plain, mirrored) = matrices(windows, np.array([False, True]), **how)
    assert torch.equal(mirrored, plain.flip(0))
    assert torch.equal(rows, torch.stack((plain, plain)))


def test_a_moved_picture_keeps_its_pixels_and_leaves_black():
    shift = np.array([[-3.0, 0.0, 2.0, 9.0], [1.0, -1.0, -9.0, 0.0]])
    windows = Windows.alike((0, 0, 5, 5), (5, 5), shift=shift)
    how = {"sides": (5, 5), "size": 5, "interpolation": "bicubic", "device": CPU}
    found = torch.stack(matrices(windows, np.zeros(4, bool), **how)).flatten(0, 1)
    for one, by in zip(found, shift.astype(int).ravel(), strict=True):
        assert torch.equal(one, torch.eye(5 + 2 * 20)[20 + by : 25 + by, 20:25])
