from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tests.data.album import encoded, noise, smooth

from vertebra.data import jpeg as module
from vertebra.data.decode import BrokenImage, decode, decode_pixels
from vertebra.data.jpeg import jpeg_pixels
from vertebra.data.pixels import pixels_of


def outcome(data: bytes, *, short: bool) -> tuple[tuple[int, ...], bytes] | str:
    """Returns shape and pixels, or why there are none."""
    try:
        pixels = decode_pixels(data, "file", 3) if short else pixels_of(decode(data, "file", 3))
    except BrokenImage as error:
        return error.reason
    return pixels.shape, pixels.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 17), (16, 65)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": 0},
        {"subsampling": 1},
        {"quality": 20},
        {"quality": 100, "keep_rgb": True},
        {"progressive": True},
        {"restart_marker_blocks": 2},
    ],
)
def test_pixels_are_pillows(options: dict[str, int], size: tuple[int, int]):
    for picture in (noise(*size), smooth(*size)):
        data = encoded(picture, "JPEG", **options)
        found = jpeg_pixels(data, 3)
        assert found is not None
        assert np.array_equal(found, np.asarray(Image.open(BytesIO(data))))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_becomes_what_pillow_makes_of_it(channels: int):
    data = encoded(noise(17, 9, mode="L"), "JPEG")
    picture = Image.open(BytesIO(data)).convert("L" if channels == 1 else "RGB")
    found = jpeg_pixels(data, channels)
    assert found is not None and np.array_equal(found, pixels_of(picture))


def test_pillow_decides_on_damaged_files():
    generator = np.random.default_rng(0)
    for number in range(60):
        data = encoded(noise(40, 30), "JPEG", progressive=number % 2 == 0)
        start, stop = sorted(generator.integers(2, len(data), 2))
        damaged = bytearray(data)
        if number % 3 == 0:
            del damaged[start:]
        elif number % 3 == 1:
            del damaged[start : min(stop, start + 50)]
        else:
            damaged[start] ^= 0x55
        expected = outcome(bytes(damaged), short=False)
        assert outcome(bytes(damaged), short=True) == expected, number


def test_pillow_reads_without_the_extra(monkeypatch: pytest.MonkeyPatch):
    data = encoded(noise(8, 8), "JPEG")
    expected = outcome(data, short=True)
    monkeypatch.setattr(module, "_is_installed", lambda: False)
    assert jpeg_pixels(data, 3) is None
    assert outcome(data, short=True) == expected
