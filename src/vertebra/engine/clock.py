"""When a run began and how long it took, over all the sessions in which it went on."""

import time
from datetime import UTC, datetime

from vertebra.records import Json


class Clock:
    """Counts from the moment it is made.

    started: when the first session began, as ISO 8601 in UTC.
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._earlier = 0.0
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of this session and of those before it, as far as they were saved."""
        return self._earlier + time.perf_counter() - self._began

    def state(self) -> Json:
        """Returns start and seconds so far."""
        return {"started": self.started, "seconds": self.seconds}

    def restore(self, state: Json) -> None:
        """Goes on from the sessions before this one."""
        self.started, self._earlier = state["started"], state["seconds"]
