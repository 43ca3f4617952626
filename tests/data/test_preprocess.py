import pytest
import torch
from PIL import Image
from tests.data.album import noise, smooth
from torchvision.transforms import InterpolationMode, v2

from vertebra.data.preprocess import Preprocess
from vertebra.errors import RecipeError

SIZES = [(64, 48), (48, 64), (33, 97), (224, 224), (500, 31), (5, 9), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fraction", [0.875, 1.0])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_evaluation_gives_the_pixels_of_torchvisions_resize_and_crop(
    size: tuple[int, int], fraction: float, interpolation: str
):
    spec = Preprocess(image_size=32, crop_fraction=fraction, interpolation=interpolation)
    resize = v2.Resize(round(32 / fraction), interpolation=InterpolationMode(interpolation))
    theirs = v2.Compose([resize, v2.CenterCrop(32), v2.PILToTensor()])
    for picture in (noise(*size), smooth(*size)):
        difference = spec.evaluation(picture).int() - theirs(picture).int()
        if interpolation == "nearest":  # a tie between neighbours may go the other way
            assert (difference != 0).float().mean() < 0.07
        else:
            assert difference.abs().max() <= 1
            assert difference.abs().float().mean() < (0.03 if min(size) > 9 else 0.2)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_evaluation_gives_bytes_of_each_channel(channels: int, mode: str):
    spec = Preprocess.for_channels(channels, image_size=7)
    images = spec.evaluation(noise(9, 12, mode=mode))
    assert images.shape == (channels, 7, 7) and images.dtype == torch.uint8
    assert spec.normalize(images[None]).shape == (1, channels, 7, 7)


def test_a_long_strip_does_not_swell():
    spec = Preprocess(image_size=224)
    assert spec.evaluation(Image.new("RGB", (1, 60000), "red")).shape == (3, 224, 224)
    assert spec.evaluation(Image.new("RGB", (60000, 1), "red"))[0].min() == 255


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalised_images_are_torchvisions(dtype: torch.dtype, layout: torch.memory_format):
    spec = Preprocess()
    images = torch.randint(256, (2, 3, 8, 9), dtype=torch.uint8).contiguous(memory_format=layout)
    kept = images.clone()
    theirs = v2.functional.normalize(images / 255, list(spec.mean), list(spec.std))
    ours = spec.normalize(images, dtype=dtype)
    assert ours.dtype == dtype and ours.is_contiguous(memory_format=layout)
    torch.testing.assert_close(ours, theirs.to(dtype), atol=1e-5, rtol=1e-2)
    assert torch.equal(images, kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size=0; give at least 1"),
        ({"channels": 2}, "channels=2; images have 1, 3 or 4"),
        ({"channels": 1}, "mean has 3 values and std 3; give one for each channel, e.g. mean="),
        ({"std": (1.0, 0.0, 1.0)}, "every deviation must be above zero"),
        ({"crop_fraction": 1.5}, "crop_fraction=1.5; give a share"),
        ({"interpolation": "cubic"}, "choose one of nearest, bilinear, bicubic, lanczos"),
    ],
)
def test_a_preprocess_that_cannot_be_is_refused(change: dict, message: str):
    with pytest.raises(RecipeError) as caught:
        Preprocess(**change)
    assert message in str(caught.value)
    with pytest.raises(RecipeError, match="channels=5"):
        Preprocess.for_channels(5)
