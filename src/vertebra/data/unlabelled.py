"""Images that are learnt from without labels: of a folder, or those a data set trains on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vertebra.data.folder import files_below
from vertebra.data.images import Source, Split
from vertebra.data.names import Names, natural
from vertebra.data.readers import Files
from vertebra.data.sources import open_source
from vertebra.data.split import divide
from vertebra.errors import DataError, NoClassFolders, RecipeError


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """The images at a place, without their labels if they have any.

    source: as for training; a folder may also hold images in any order, without class folders. Of a
            data set only those are used that training on it would use, so that nothing it is
            judged by is seen.
    """

    source: str

    def __post_init__(self) -> None:
        if not self.source:
            raise RecipeError("source=''; give a folder of images")

    def open(self, *, seed: int) -> Split:
        """Returns the images; `seed` decides which of a data set are held out of training.

        Raises:
            DataError: there are none.
        """
        found = open_images(self.source)
        return divide(found, seed=seed).train.unlabelled() if found.classes else only_split(found)


def open_images(where: str, *, download: bool = False) -> Source:
    """Returns the images at `where`, with classes if they have some: see `open_source`.

    A folder without class folders is one split, with every file in it and below.

    Raises:
        DataError: there is nothing, or not what training needs.
    """
    try:
        return open_source(where, download=download)
    except NoClassFolders as error:
        path = Path(where)
        if not path.is_dir():
            raise DataError(
                f"{where} holds no class folders; unpack it to learn from it without classes"
            ) from error
        return Source(path.resolve().name, where, (), {"train": _everything(path)})


def _everything(folder: Path) -> Split:
    """Returns all files below a folder, called by their place in it: it may be moved."""
    names = sorted(files_below(folder), key=natural)
    nothing = np.zeros(len(names), dtype=np.int64)
    return Split((), nothing, Names.of(names), nothing, Files(folder))


def only_split(source: Source) -> Split:
    """Returns the split of a source that has one."""
    (split,) = source.splits.values()
    return split
