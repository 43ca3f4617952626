"""Colours against torchvision's own, pixel for pixel."""

import numpy as np
import pytest
from tests.data.album import noise, smooth
from torchvision.transforms import v2

from vertebra.data.jitter import ColorJitter
from vertebra.seeding import seeded


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("extents", [(0.4, 0.4, 0.2, 0.1), (1.5, 1.0, 2.0, 0.5), (0, 0.8, 0, 0)])
def test_draws_and_pixels_are_torchvisions(mode, extents):
    names = ("brightness", "contrast", "saturation", "hue")
    ours = ColorJitter(**dict(zip(names, extents, strict=True)))
    theirs = v2.ColorJitter(*extents)
    changed = 0
    for seed in range(40):
        image = (noise if seed % 2 else smooth)(37, 23).convert(mode)
        with seeded(seed):
            found = ours.sample(image)
        with seeded(seed):
            expected = theirs(image)
        assert found.mode == mode
        assert np.array_equal(np.asarray(found), np.asarray(expected)), seed
        changed += found != image
    assert changed > 30
