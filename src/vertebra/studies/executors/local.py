"""Runs on this machine: one after another, several at once, or one on each device."""

import queue
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from vertebra.errors import RecipeError
from vertebra.studies.task import End, Task, Watch, carry_out


class Local:
    """Processes of this machine.

    processes: at once.
    devices:   numbers of CUDA devices; each process sees one, and no two the same.
    watch:     looks at each run under way, and may stop it.
    """

    def __init__(
        self, *, processes: int = 1, devices: tuple[str, ...] = (), watch: Watch | None = None
    ) -> None:
        if processes < 1:
            raise RecipeError(f"processes={processes}; give at least 1")
        if len(set(devices)) < len(devices):
            raise RecipeError(f"devices={','.join(devices)} names one twice; name each once")
        self._slots: queue.Queue[str | None] = queue.Queue()
        for slot in devices or (None,) * processes:
            self._slots.put(slot)
        self._count = self._slots.qsize()
        self._watch = watch
        self._is_closed = threading.Event()

    def run(self, tasks: Sequence[Task]) -> Generator[End]:
        """Yields how each task ended, as they end; closed early, it stops those under way."""
        self._is_closed.clear()
        with ThreadPoolExecutor(self._count) as threads:
            ends: list[Future[End]] = [threads.submit(self._one, task) for task in tasks]
            try:
                for end in as_completed(ends):
                    yield end.result()
            finally:
                self._is_closed.set()  # those under way save and end; the pool waits for them
                for end in ends:
                    end.cancel()

    def _one(self, task: Task) -> End:
        slot = self._slots.get()
        seen = {} if slot is None else {"CUDA_VISIBLE_DEVICES": slot}
        try:
            return carry_out(task, environment=seen, watch=self._why_stop)
        finally:
            self._slots.put(slot)

    def _why_stop(self, task: Task) -> str | None:
        if self._is_closed.is_set():
            return "the study was stopped"
        return None if self._watch is None else self._watch(task)
