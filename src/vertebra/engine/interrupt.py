"""SIGINT and SIGTERM as a question that the loop asks between two steps, so that a run ends
saved."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Inside the block the first signal is only noted; a second SIGINT raises KeyboardInterrupt at
    once."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self._earlier: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        # Python lets only the main thread set handlers; a run in another thread cannot be
        # interrupted this way
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name
