import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from vertebra.data.erase import Erase
from vertebra.seeding import seeded


def holes(spec: Erase, count: int = 300, size: int = 40) -> list[tuple[int, int]]:
    """Returns height and width of what was covered in each image; (0, 0) for none."""
    images = torch.full((count, 3, size, size), 7.0)
    with seeded(0):
        covered = spec.sample(images) != 7
    assert (images == 7).all()
    sides: list[tuple[int, int]] = []
    for mask in covered.all(1):
        height, width = int(mask.any(1).sum()), int(mask.any(0).sum())
        assert int(mask.sum()) == height * width  # one rectangle
        sides.append((height, width))
    return sides


def test_areas_and_aspects_stay_in_their_ranges():
    sides = holes(Erase(probability=1.0, area=(0.1, 0.3), aspect=(0.5, 2.0)))
    found = [(height, width) for height, width in sides if height]
    assert len(found) > 290
    assert all(0.08 < height * width / 1600 < 0.33 for height, width in found)
    assert all(0.44 < height / width < 2.3 for height, width in found)
    tall = sum(height > width for height, width in found)
    assert 100 < tall < 200  # the logarithm is drawn evenly
    spread = [math.log(height / width) for height, width in found]
    assert min(spread) < -0.5 and max(spread) > 0.5


def test_each_image_has_its_own_draw():
    assert len(set(holes(Erase(probability=1.0)))) > 50


def test_a_share_of_images_is_erased():
    erased = sum(height > 0 for height, _ in holes(Erase(probability=0.25)))
    assert 45 < erased < 105
    assert not any(height for height, _ in holes(Erase(probability=0.0)))


def test_constant_covers_with_the_mean_and_pixel_with_noise():
    images = torch.full((50, 3, 32, 32), 7.0)
    with seeded(0):
        constant = Erase(probability=1.0, mode="constant").sample(images)
        noisy = Erase(probability=1.0, mode="pixel").sample(images)
    assert set(constant.unique().tolist()) == {0.0, 7.0}
    noise = noisy[noisy != 7]
    assert abs(noise.mean().item()) < 0.05 and abs(noise.std().item() - 1) < 0.05


@pytest.mark.parametrize("spec", [Erase(), Erase(probability=1.0, area=(0.5, 0.9))])
def test_rectangles_are_distributed_as_torchvisions(spec: Erase):
    theirs = v2.RandomErasing(spec.probability, spec.area, spec.aspect, value=1.0)
    with seeded(1):
        covered = [theirs(torch.zeros(1, 20, 20))[0] for _ in range(1500)]
    sides = [(int(each.any(1).sum()), int(each.any(0).sum())) for each in covered]
    places = [int(each.any(1).int().argmax()) for each in covered if each.any()]
    images = torch.full((1500, 1, 20, 20), 7.0)
    with seeded(0):
        found = (replace(spec, mode="constant").sample(images) == 0)[:, 0]
    ours = [(int(each.any(1).sum()), int(each.any(0).sum())) for each in found]
    tops = [int(each.any(1).int().argmax()) for each in found if each.any()]
    for axis in (0, 1):
        pair = ([side[axis] for side in one] for one in (ours, sides))
        assert stats.ks_2samp(*pair).pvalue > 1e-3
    assert stats.ks_2samp(tops, places).pvalue > 1e-3


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_layout_in_memory_stays(layout: torch.memory_format):
    images = torch.randn(5, 3, 8, 8).contiguous(memory_format=layout)
    for probability in (0.0, 1.0):
        covered = Erase(probability=probability).sample(images)
        assert covered.is_contiguous(memory_format=layout)
