"""Pictures and folders of pictures that tests draw for themselves."""

from io import BytesIO
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from vertebra.data.images import Split
from vertebra.data.names import Names
from vertebra.data.readers import Arrays

Value = TypeVar("Value")


def noise(width: int, height: int, *, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Returns a picture of even noise."""
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def smooth(width: int, height: int) -> Image.Image:
    """Returns a picture without edges, which JPEG and resizing hardly change."""
    y, x = np.mgrid[0:height, 0:width]
    planes = (x * 200 // width, y * 200 // height, (x + y) * 200 // (width + height))
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Returns the picture as a file."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def plant(root: Path, *names: str) -> Path:
    """Writes a different small picture under each name, and returns the folder."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(8, 8, seed=seed)))
    return root


def in_memory(count: int, *, classes: int = 2, size: int = 8) -> Split:
    """Returns a split of grey pictures of which number n is filled with the value n."""
    values = np.arange(count, dtype=np.uint8)
    pixels = np.broadcast_to(values[:, None, None], (count, size, size)).copy()
    rows = np.arange(count)
    names = Names.of(f"drawn-{row}" for row in rows)
    return Split(tuple(map(str, range(classes))), rows % classes, names, rows, Arrays(pixels))


def sent(value: Value) -> Value:
    """Returns the value as a spawned worker process would get it."""
    return ForkingPickler.loads(ForkingPickler.dumps(value))
