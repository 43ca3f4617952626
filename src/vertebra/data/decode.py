"""Turns the bytes of an image file into pixels with 1, 3 or 4 channels of 8 bits, or says why not.

The content decides, never the file's extension. What every picture becomes:

EXIF       turned upright; a broken EXIF block is ignored.
animated   its first frame.
1 bit      0 and 255.
16 bit     scaled from [0, 65535], not clipped.
32 bit     scaled from the first of [0, 1] (floats only), [0, 255] and [0, 65535] that holds every
           value, else from the picture's own minimum and maximum; NaN and infinity are refused.
CMYK, Lab  converted to RGB; other colour profiles are ignored.
alpha      kept with 4 channels, else laid on white, so that a drawing looks as in a viewer.
"""

import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.Image import Transpose

from vertebra.data.jpeg import jpeg_pixels
from vertebra.data.pixels import Pixels, pixels_of
from vertebra.errors import DataError

MAX_PIXELS = 2**26
"""Larger pictures (8192 x 8192) are refused: a few bytes can claim to be gigabytes."""

MOST_UNREADABLE = 64
"""So many broken files in a row end a run: a disk has gone, or the data set is not one."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""What the channels of an image are called."""

# Pixel formats only: Pillow's reader of EPS, for one, starts another program.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"),
    *("MPO", "JPEG2000", "AVIF", "ICO", "TGA", "DIB", "PCX", "SGI", "QOI"),
)
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class BrokenImage(DataError):
    """A file that gives no picture; `name` and `reason` are kept apart for lists."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name} is no readable image: {self.reason}; replace it or take it out"


def unreadable(count: int, broken: Mapping[str, str]) -> DataError:
    """Returns the error that ends a run after so many files in a row; `broken` are their names with
    reasons."""
    name, reason = next(iter(broken.items()))
    return DataError(
        f"{count} files in a row cannot be read (the first: {name}: {reason}); see whether the "
        f"disk is there, then list what is broken with `vertebra check`"
    )


@contextmanager
def decoding_in_threads() -> Generator[None]:
    """Lets several threads decode inside the block.

    Each sets the process's filters of warnings and puts back those that it found, which may be
    another thread's; the block's end puts back the right ones.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(data: bytes, name: str, channels: int) -> Image.Image:
    """Returns the picture in mode "L", "RGB" or "RGBA" for 1, 3 or 4 channels.

    Several threads may do so inside `decoding_in_threads`.

    Raises:
        BrokenImage: the bytes are no image, are cut off, or claim more than `MAX_PIXELS`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _loaded(_open(data, name), name, channels)


def decode_pixels(data: bytes, name: str, channels: int) -> Pixels:
    """Returns the same picture as pixels [H, W, channels], which may not be written to.

    With the extra `jpeg` upright JPEGs take 0.65 times as long.

    Raises:
        BrokenImage: as for `decode`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _open(data, name)
        pixels = jpeg_pixels(data, channels) if _is_plain_jpeg(image, channels) else None
        return pixels_of(_loaded(image, name, channels)) if pixels is None else pixels


def probe(data: bytes, name: str) -> tuple[int, int]:
    """Returns (width, height) by the header alone; `data` may be the first part of a file.

    Raises:
        BrokenImage: the bytes are no image, or claim more than `MAX_PIXELS`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _open(data, name).size


def _open(data: bytes, name: str) -> Image.Image:
    if not data:
        raise BrokenImage(name, "the file is empty")
    try:
        image = Image.open(BytesIO(data), formats=_formats())
    except UnidentifiedImageError as error:
        raise BrokenImage(name, f"no known image format begins with {data[:8]!r}") from error
    except Exception as error:
        raise BrokenImage(name, _sentence(error)) from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        raise BrokenImage(name, f"it claims {size} pixels, and {MAX_PIXELS} are allowed")
    return image


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Returns the formats that this build of Pillow reads."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _is_plain_jpeg(image: Image.Image, channels: int) -> bool:
    """Whether an opened picture is a JPEG that is upright and has these channels, or grey ones."""
    if image.format != "JPEG" or image.mode not in {1: ("L",), 3: ("L", "RGB")}.get(channels, ()):
        return False
    return _orientation(image) not in _UPRIGHT


def _loaded(image: Image.Image, name: str, channels: int) -> Image.Image:
    """Returns the opened picture upright, with these channels."""
    try:
        image.load()
        orientation = _orientation(image)  # TIFF has turned itself while it was loaded
        upright = image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
        return _convert(upright, MODES[channels])
    except Exception as error:  # what a decoder raises is not documented
        raise BrokenImage(name, _sentence(error)) from error


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # a broken EXIF block says nothing
        return None


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode[0] in "IF":  # I, F and every I;16
        image = _scale(image)
    elif image.mode == "LAB":
        image = _lab_to_rgb(image)
    if not image.has_transparency_data or mode == "RGBA":
        return image.convert(mode)
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert(mode)


def _scale(image: Image.Image) -> Image.Image:
    """Returns a picture of wide numbers in mode "L"; the ranges stand at the top."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite pixels")
    low, high = float(values.min()), float(values.max())
    ceilings = (65535,) if image.mode.startswith("I;16") else (255, 65535)
    if image.mode == "F":
        ceilings = (1, *ceilings)
    fitting = [ceiling for ceiling in ceilings if low >= 0 and high <= ceiling]
    start, span = (0.0, fitting[0]) if fitting else (low, high - low or 1)
    return Image.fromarray(np.rint((values - start) * (255 / span)).astype(np.uint8))


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, rgb, "LAB", "RGB").apply(image)


def _sentence(error: Exception) -> str:
    text = str(error).splitlines()[0].rstrip(".") if str(error) else ""
    return text or type(error).__name__
