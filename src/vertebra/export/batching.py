"""A thread that does at once what has come in while it was at work."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batching(Generic[Item, Result]):
    """Works on items in the order in which they come, on up to `most` of those that wait at once.

    Nothing is waited for: an item that finds the thread idle is worked on at once, by itself. The
    thread starts and ends with the block, and ends when nothing waits any more.

    work:   is called in the thread, and only there: items -> a result for each, in their order.
    passes: how often that was; done: items of which it has given a result.
    """

    def __init__(self, work: Callable[[list[Item]], Sequence[Result]], *, most: int) -> None:
        self.passes = 0
        self.done = 0
        self._work = work
        self._most = most
        self._waiting: SimpleQueue[tuple[Item, Future[Result]] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="batching")

    def submit(self, item: Item) -> Future[Result]:
        """Returns what will hold the result, or what `work` raised on the items of its pass."""
        future: Future[Result] = Future()
        self._waiting.put((item, future))
        return future

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            items, futures = zip(*batch, strict=True)
            self.passes += 1
            try:
                results = self._work([*items])
                answered = [*zip(futures, results, strict=True)]
            except Exception as error:  # it is told to those who wait; the others have theirs
                for future in futures:
                    future.set_exception(error)
                continue
            self.done += len(answered)  # before anybody can see a result
            for future, result in answered:
                future.set_result(result)

    def _next(self) -> list[tuple[Item, Future[Result]]]:
        """Returns what waits, at least one item; nothing at the end."""
        batch: list[tuple[Item, Future[Result]]] = []
        try:
            while len(batch) < self._most:
                entry = self._waiting.get(block=not batch)
                if entry is None:
                    self._waiting.put(None)  # the end comes again when this batch is done
                    break
                if entry[1].set_running_or_notify_cancel():
                    batch.append(entry)
        except Empty:
            pass
        return batch
