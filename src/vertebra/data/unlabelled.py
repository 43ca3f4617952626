"""Images that are learnt from without labels: of a folder, or those a data set trains on."""

from dataclasses import dataclass
from pathlib import Path

from vertebra.data.images import Source, Split
from vertebra.data.sources import loose, open_source
from vertebra.data.split import divide
from vertebra.errors import NoClassFolders, RecipeError


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

    Raises:
        DataError: there is nothing, or not what training needs.
    """
    try:
        return open_source(where, download=download)
    except NoClassFolders:
        split = loose([where])
        return Source(Path(where).resolve().name, where, (), {"train": split})


def only_split(source: Source) -> Split:
    """Returns the split of a source that has one."""
    (split,) = source.splits.values()
    return split
