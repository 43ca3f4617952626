"""Where images come in and answers go out: decoded in some threads, named in one, no more at a time
than there is room for.
"""

from asyncio import gather, get_running_loop, wrap_future
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Protocol, Self

from torch import Tensor

from vertebra.cores import usable_cores
from vertebra.data.decode import BrokenImage, decoding_in_threads
from vertebra.data.pixels import Pixels
from vertebra.export.answer import Answer, unread
from vertebra.export.batching import Batching
from vertebra.export.limits import Limits
from vertebra.records import Json


class Network(Protocol):
    """A trained network that knows the names of its classes."""

    classes: tuple[str, ...]

    def prepare(self, content: bytes, name: str) -> Pixels:
        """Returns an image file as the network takes it; several threads may ask at once.

        Raises:
            BrokenImage: it gives no picture.
        """
        ...

    def probabilities(self, pictures: Sequence[Pixels]) -> Sequence[Tensor]:
        """Returns [K] on the CPU for each of the prepared pictures, which are one or more."""
        ...


class NoRoom(Exception):
    """More images are under way than may wait."""


class Upload(NamedTuple):
    """An image file as it came in."""

    name: str
    content: bytes


class Desk:
    """Answers image files with a network; its threads live as long as its block."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self.network = network
        self.limits = limits
        self.waiting = 0
        self.batching = Batching(network.probabilities, most=limits.batch_size)
        self._decoding = ThreadPoolExecutor(min(8, usable_cores()), "decoding")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(decoding_in_threads())
        self._stack.enter_context(self.batching)
        self._stack.enter_context(self._decoding)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def room(self, images: int) -> Generator[None]:
        """Keeps room for so many images inside the block.

        Raises:
            NoRoom: there is less.
        """
        if self.waiting + images > self.limits.max_waiting:
            raise NoRoom
        self.waiting += images
        try:
            yield
        finally:
            self.waiting -= images

    async def rows(self, uploads: Sequence[Upload], *, top: int) -> list[dict[str, Json]]:
        """Returns a row for each file, in order: its classes, or what is wrong with it."""
        return await gather(*(self._row(upload, top) for upload in uploads))

    async def _row(self, upload: Upload, top: int) -> dict[str, Json]:
        prepare, loop = self.network.prepare, get_running_loop()
        try:
            picture = await loop.run_in_executor(
                self._decoding, prepare, upload.content, upload.name
            )
        except BrokenImage as error:
            return unread(upload.name, error.reason)
        found = await wrap_future(self.batching.submit(picture))
        return Answer.of(upload.name, found, self.network.classes, top=top).row()
