import numpy as np
import pytest
import torch
from tests.data.album import noise
from torchvision.transforms import v2

from vertebra.data.pixels import picture_of, pixels_of
from vertebra.data.preprocess import pack


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_is_its_pixels(mode: str):
    picture = noise(5, 4, mode=mode)
    pixels = pixels_of(picture)
    assert pixels.shape == (4, 5, len(mode))
    again = picture_of(pixels)
    assert (again.mode, again.size, again.tobytes()) == (mode, (5, 4), picture.tobytes())
    mirrored = np.asarray(picture_of(pixels[:, ::-1]))
    assert np.array_equal(mirrored, np.asarray(picture)[:, ::-1])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_packed_pictures_are_what_torchvision_makes_of_them(mode: str):
    pictures = [noise(5, 4, seed=seed, mode=mode) for seed in range(3)]
    theirs = torch.stack([v2.functional.pil_to_tensor(picture) for picture in pictures])
    ours = pack([pixels_of(picture) for picture in pictures])
    assert torch.equal(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)
