"""JPEGs decoded by simplejpeg, an extra, straight into an array.

The pixels are Pillow's, as both have the decoder of libjpeg-turbo with the same settings; Pillow
takes longer, as it keeps four bytes for each pixel, which are then copied.
"""

from functools import lru_cache
from importlib.util import find_spec

from vertebra.data.pixels import Pixels


def jpeg_pixels(data: bytes, channels: int) -> Pixels | None:
    """Returns pixels [H, W, channels]: of a grey JPEG for 1 channel, of any but CMYK for 3.

    None without the extra, and for files with the least damage: Pillow says whether it matters.
    """
    if not _is_installed():
        return None
    from simplejpeg import decode_jpeg

    try:
        return decode_jpeg(data, "GRAY" if channels == 1 else "RGB", strict=True)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _is_installed() -> bool:
    return find_spec("simplejpeg") is not None
