"""Batches for training and evaluation: pictures are read by workers, and finished on the device;
or they lie there, see `resident`.

Item k of the data sets here is a whole batch and a pure function of (seed, k); so neither the
number of workers nor where a run was interrupted changes what is trained on.
"""

import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from types import FrameType
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vertebra.contracts import Batch
from vertebra.data.augment import Augment
from vertebra.data.decode import MOST_UNREADABLE, BrokenImage, unreadable
from vertebra.data.images import Split
from vertebra.data.order import Order
from vertebra.data.pixels import Pixels, pixels_of
from vertebra.data.preprocess import Preprocess, pack
from vertebra.data.resident import Resident, is_resident
from vertebra.data.views import Version, View, further, versions
from vertebra.errors import DataError, DeviceError
from vertebra.seeding import Key, seeded

_GRACE_S = 30


@dataclass(frozen=True)
class _Item:
    """What a worker hands over: a uint8 batch, and why files could not be read, by name."""

    batch: Batch
    broken: dict[str, str] = field(default_factory=dict)

    def pin_memory(self) -> "_Item":
        return _Item(self.batch.pin_memory(), self.broken)


class _TrainItems(Dataset[_Item | DataError]):
    def __init__(
        self, split: Split, order: Order, versions: Sequence[Version], targets: Tensor | None
    ) -> None:
        self._split = split
        self._order = order
        self._targets = targets
        self._channels = versions[0].preprocess.channels
        self._versions = versions

    def __getitem__(self, number: int) -> _Item | DataError:
        broken: dict[str, str] = {}
        try:
            # around the batch, as putting states back costs more than a small image does
            with seeded(self._order.seed, "batch", number):
                drawn = [self._draw(at, broken) for at in self._order.positions(number)]
        except DataError as error:
            return error
        pictures, samples = zip(*drawn, strict=True)
        first, *others = zip(*pictures, strict=True)  # by version rather than by sample
        batch = _batch(self._split, first, samples)
        batch = _with_targets(batch, self._targets)  # here, so that they too lie in pinned memory
        return _Item(replace(batch, views=tuple(map(pack, others))), broken)

    def _draw(self, position: int, broken: dict[str, str]) -> tuple[tuple[Pixels, ...], int]:
        """Returns the versions of the picture at a position, or of the next of the same pass that
        can be read."""
        tries = min(MOST_UNREADABLE, len(self._split))
        for skip in range(tries):
            epoch, sample = self._order.place(position, skip=skip)
            try:
                pixels = self._split.pixels(sample, self._channels)
            except BrokenImage as error:
                broken[error.name] = error.reason
                continue
            keys = (self._order.seed, "augment", epoch, sample)
            return tuple(each.sample(pixels, keys) for each in self._versions), sample
        raise unreadable(tries, broken)


class _EvaluationItems(Dataset[_Item | DataError]):
    def __init__(self, split: Split, preprocess: Preprocess, batch_size: int) -> None:
        self._split = split
        self._preprocess = preprocess
        self._batch_size = batch_size

    def __getitem__(self, number: int) -> _Item | DataError:
        start = number * self._batch_size
        samples = range(start, min(start + self._batch_size, len(self._split)))
        try:
            pictures = [self._open(sample) for sample in samples]
        except DataError as error:
            return error
        return _Item(_batch(self._split, pictures, samples))

    def _open(self, sample: int) -> Pixels:
        picture = self._split.open(sample, self._preprocess.channels)
        return pixels_of(self._preprocess.centre(picture))


@dataclass(frozen=True, eq=False)
class TrainBatches:
    """The batches of updates `start_step` to `steps` for one of `world` processes, on `device`.

    batch_size:  images in an update, over all processes and the `accumulate` batches of each.
    workers:     processes that read and change pictures; 0 does it in this one. The batches are the
                 same. None are started where pictures lie on the device.
    classes:     the K of mixed targets [N, K]; None: as many as the split has.
    views:       further versions of each image.
    targets:     [n, ...], the target of each sample where it is not its label.
    layout:      of the images in memory.
    quarantined: files that could not be read so far, with reasons; each was replaced by the next of
    its pass.
    """

    split: Split
    _: KW_ONLY
    preprocess: Preprocess
    augment: Augment
    batch_size: int
    seed: int
    steps: int
    start_step: int = 0
    accumulate: int = 1
    rank: int = 0
    world: int = 1
    workers: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    classes: int | None = None
    views: tuple[View, ...] = ()
    targets: Tensor | None = None
    layout: torch.memory_format = torch.channels_last
    quarantined: dict[str, str] = field(default_factory=dict[str, str], init=False)

    def __post_init__(self) -> None:
        self.augment.check(self.preprocess)
        for view in self.views:
            view.check(self.augment, self.preprocess)
        if not len(self.split):
            raise DataError("the training split has no images; give at least one")

    def __len__(self) -> int:
        return max(0, self.steps - self.start_step) * self.accumulate

    def __iter__(self) -> Iterator[Batch]:
        """Yields float batches [N, C, S, S] with targets [N] int64, or [N, K] where they are mixed.

        Raises:
            DataError: many files in a row cannot be read.
            DeviceError: a worker was killed.
        """
        order = Order(
            length=len(self.split),
            seed=self.seed,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            rank=self.rank,
            world=self.world,
        )
        classes = len(self.split.classes) if self.classes is None else self.classes
        start = self.start_step * self.accumulate
        numbers = range(start, start + len(self))
        for number, batch in zip(numbers, self._read(order, numbers), strict=True):
            batch = _ready(batch, self.preprocess, self.device, self.layout)
            yield self._finished(batch, number, classes)

    def _read(self, order: Order, numbers: range) -> Iterator[Batch]:
        """Yields the batches of these numbers before they are normalised."""
        made = versions(self.augment, self.preprocess, self.views)
        if is_resident(self.split, made):
            here = Resident.read(self.split, order, made, self.device)
            self.quarantined.update(here.broken)
            for batch in map(here.batch, numbers):
                yield _with_targets(batch, self.targets)
            return
        items = _TrainItems(self.split, order, made, self.targets)
        for item in _load(items, numbers, self.workers, self.device):
            self.quarantined.update(item.broken)
            yield item.batch

    def _finished(self, batch: Batch, number: int, classes: int) -> Batch:
        """Returns the batch with rectangles erased and images mixed, in each of its versions."""
        images = self._covered(batch.images, self.augment, "erase", number)
        views = {
            place: self._covered(each, self.augment, "erase", number)
            if view.augment is None
            else self._covered(each, view.augment, "erase", number, "view", place)
            for each, (place, view) in zip(
                batch.views, further(self.views, self.preprocess).items(), strict=True
            )
        }
        mixed = self._mixed(replace(batch, images=images), number, classes)
        # each with the same draws: partners and weights are those of the first
        also = {
            place: self._mixed(replace(batch, images=each), number, classes).images
            for place, each in views.items()
        }
        places = range(len(self.views))
        return replace(mixed, views=tuple(also.get(place, mixed.images) for place in places))

    def _covered(self, images: Tensor, augment: Augment, *keys: Key) -> Tensor:
        with seeded(self.seed, *keys, self.rank, device=self.device):
            return augment.cover(images)

    def _mixed(self, batch: Batch, number: int, classes: int) -> Batch:
        with seeded(self.seed, "mix", number, self.rank, device=self.device):
            return self.augment.mix(batch, classes)


@dataclass(frozen=True, eq=False)
class EvaluationBatches:
    """Every image of a split once over all `world` processes; the last batch may be short."""

    split: Split
    _: KW_ONLY
    preprocess: Preprocess
    batch_size: int
    workers: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    world: int = 1
    layout: torch.memory_format = torch.channels_last

    def __len__(self) -> int:
        return len(self._numbers())

    def __iter__(self) -> Iterator[Batch]:
        """Yields float batches [N, C, S, S] with targets [N] int64.

        Raises:
            BrokenImage: a file cannot be read; nothing is left out or replaced.
            DeviceError: a worker was killed.
        """
        items = _EvaluationItems(self.split, self.preprocess, self.batch_size)
        for item in _load(items, self._numbers(), self.workers, self.device):
            yield _ready(item.batch, self.preprocess, self.device, self.layout)

    def _numbers(self) -> range:
        return range(self.rank, -(-len(self.split) // self.batch_size), self.world)


def _batch(split: Split, pictures: Sequence[Pixels], samples: Sequence[int]) -> Batch:
    """Returns the uint8 batch of these pictures."""
    index = torch.tensor(samples, dtype=torch.int64)
    return Batch(pack(pictures), torch.from_numpy(split.labels)[index], index)


def _with_targets(batch: Batch, targets: Tensor | None) -> Batch:
    """Returns the batch with these targets [n, ...] of its samples in place of their labels."""
    return batch if targets is None else replace(batch, targets=targets[batch.index])


def _ready(
    batch: Batch, preprocess: Preprocess, device: torch.device, layout: torch.memory_format
) -> Batch:
    """Returns the batch on the device, normalised there: bytes cross over, not floats."""
    batch = batch.to(device)
    first, *others = (
        preprocess.normalize(images).contiguous(memory_format=layout)
        for images in (batch.images, *batch.views)
    )
    return replace(batch, images=first, views=tuple(others))


def _load(
    items: Dataset[_Item | DataError], numbers: range, workers: int, device: torch.device
) -> Iterator[_Item]:
    """Yields the items of these numbers, in order.

    A `DataError` comes as a value: raised in a worker it would lose its class and message in a
    traceback.
    """
    loader = DataLoader(
        items,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        collate_fn=cast(Any, _unchanged),  # typed for lists of samples only
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
        multiprocessing_context=_start_method() if workers else None,
        generator=torch.Generator(),  # else it draws from the global one
    )
    with warnings.catch_warnings():
        # Python warns of a fork beside threads; workers use none of what those hold
        warnings.simplefilter("ignore", DeprecationWarning)
        stream = iter(loader)
    try:
        for item in stream:
            if isinstance(item, DataError):
                raise item
            yield cast(_Item, item)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DeviceError(
            f"a worker that reads images was killed ({error}); memory or /dev/shm may be too "
            f"small: use fewer workers"
        ) from error
    finally:
        del stream  # ends the workers now; a traceback would keep them alive


def _start_method() -> str | None:
    return "fork" if sys.platform == "linux" else None


def _unchanged(item: _Item | DataError) -> _Item | DataError:
    return item


def _start_worker(number: int) -> None:
    """Prepares a worker: a signal to the whole group is for the main process to answer.

    It saves the run and then ends its workers; one that it cannot end goes after a grace.
    """
    del number
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, _end_later)


def _end_later(kind: int, frame: FrameType | None) -> None:
    del kind, frame
    signal.alarm(_GRACE_S)
