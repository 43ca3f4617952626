from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.album import noise, smooth
from torchvision.transforms import v2

from vertebra.data.randaugment_torchvision import BINS, OPERATIONS
from vertebra.seeding import seeded

PICTURES = [smooth(24, 18), noise(9, 31), noise(20, 14, mode="L"), noise(1, 2)]


class Only(v2.RandAugment):
    """Torchvision's with one of its operations."""

    def __init__(self, name: str, magnitude: int) -> None:
        super().__init__(num_ops=1, magnitude=magnitude)
        self._AUGMENTATION_SPACE = {name: v2.RandAugment._AUGMENTATION_SPACE[name]}


def drawn(make: Callable[..., Any], *given: object, seed: int) -> tuple[np.ndarray, float]:
    """Returns the picture, and the draw that comes next."""
    with seeded(seed):
        return np.asarray(make(*given)), torch.rand(()).item()


def test_the_operations_stand_in_torchvisions_order():
    assert list(OPERATIONS) == list(v2.RandAugment._AUGMENTATION_SPACE)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_torchvisions_draws_and_pixels_at_every_magnitude(name: str):
    def ours(picture: Image.Image, magnitude: int) -> Image.Image:
        torch.randint(1, ())  # the choice of the operation
        return OPERATIONS[name](picture, magnitude)

    for magnitude in range(BINS):
        theirs = Only(name, magnitude)
        for seed, picture in enumerate(PICTURES * 2):
            found, after = drawn(ours, picture, magnitude, seed=seed)
            expected, after_theirs = drawn(theirs, picture, seed=seed)
            assert np.array_equal(found, expected), (magnitude, picture)
            assert after == after_theirs
