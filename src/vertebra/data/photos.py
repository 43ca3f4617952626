"""The two photographs that come with scikit-learn: a temple and a flower, 640 x 427 pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vertebra.data.bundled import read_bundled
from vertebra.data.decode import decode
from vertebra.data.sources import holds_data_set, require_path

PHOTOS = ("china", "flower")
"""Their names; a file of that name is meant by ./NAME."""


def is_photo(where: str) -> bool:
    """Whether the name or path means one picture, rather than a data set."""
    path = Path(where)
    return where in PHOTOS or (path.is_file() and not holds_data_set(path))


def open_photo(where: str) -> NDArray[np.uint8]:
    """Returns the picture of a name or a path: [H, W, 3].

    Raises:
        DataError: there is no such file, or it is no picture.
    """
    if where in PHOTOS:
        return np.asarray(decode(read_bundled(f"images/{where}.jpg"), where, 3))
    path = require_path(where, shelf=PHOTOS)
    return np.asarray(decode(path.read_bytes(), str(path), 3))
