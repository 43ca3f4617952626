"""Two streams of images made one: each labelled batch has images of a second data set beside it."""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from vertebra.contracts import Batch
from vertebra.data.augment import Augment
from vertebra.data.loader import TrainBatches
from vertebra.data.unlabelled import Unlabelled
from vertebra.data.views import View
from vertebra.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Describes images that are learnt from beside the labelled ones.

    ratio: so many of them for each labelled image.
    """

    images: Unlabelled
    ratio: int = 1
    augment: Augment = field(default_factory=Augment)
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        if self.ratio < 1:
            raise RecipeError(f"ratio={self.ratio}; give at least 1 image beside each labelled one")
        if self.augment.mixing is not None:
            raise RecipeError("images without labels are not mixed; leave mixing out beside them")


@dataclass(frozen=True, eq=False)
class JointBatches:
    """The batches of `labelled`, each with the batch of `beside` of the same update."""

    labelled: TrainBatches
    beside: TrainBatches

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Files of either that could not be read so far, with reasons."""
        return ChainMap(self.labelled.quarantined, self.beside.quarantined)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the labelled batches with `unlabelled` filled.

        Raises:
            DataError, DeviceError: as of either stream.
        """
        for batch, other in zip(self.labelled, self.beside, strict=True):
            yield replace(batch, unlabelled=other)
