"""Runs on the machines of a Ray cluster, or on one that is started here for them."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from vertebra.errors import DeviceError, MissingExtra, RecipeError
from vertebra.records import Json
from vertebra.studies.executors.shared_folder import carry_out_there, seen_from_here
from vertebra.studies.task import End, Task

STORE_BYTES = 100_000_000
"""Memory of a Ray that is started here for what passes between processes: how runs ended."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers are started as this process is, not by uv
}

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""With no cluster of machines Ray listens on 127.0.0.1 alone; read when Ray is imported."""


class Ray:
    """A Ray cluster; all its machines see the study's folder and the images at the same paths.

    address: "auto", "HOST:PORT" or "ray://HOST:PORT" of a cluster that runs; None starts one here,
             for the time of the runs.
    cpus:    cores of each run; gpus: its GPUs, the others are hidden from it.
    workers: runs at once where it is started here; None is as many as there are cores.

    Raises:
        MissingExtra: Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: int = 1,
        gpus: int = 0,
        workers: int | None = None,
    ) -> None:
        if find_spec("ray") is None:
            raise MissingExtra("Ray is not installed; bring it with `pip install vertebra[ray]`")
        if cpus < 1 or gpus < 0:
            raise RecipeError(f"cpus={cpus}, gpus={gpus}; give 1 core or more, and 0 GPUs or more")
        if workers is not None and (workers < 1 or address is not None):
            raise RecipeError(f"workers={workers}; give 1 or more, and only without an address")
        self._address = address
        self._cpus = cpus
        self._gpus = gpus
        self._workers = workers

    def run(self, tasks: Sequence[Task]) -> Generator[End]:
        """Yields how each task ended, as they end; closed early, it stops those under way.

        Raises:
            DeviceError: the cluster is not there, or no machine of it is large enough.
        """
        with self._connected():
            import ray

            _require_room(ray.nodes(), cpus=self._cpus, gpus=self._gpus)
            # not again elsewhere: if a machine is only cut off, two would write the same run
            there = ray.remote(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0)
            start: Any = there(_carry_out)
            pending: dict[Any, Task] = {start.remote(task, self._gpus): task for task in tasks}
            try:
                while pending:
                    for reference in ray.wait(list(pending), timeout=1.0)[0]:
                        yield _end(reference, pending.pop(reference))
            finally:
                for reference in pending:
                    ray.cancel(reference)
                if pending:  # those under way save and end
                    ray.wait(list(pending), num_returns=len(pending))

    @contextmanager
    def _connected(self) -> Generator[None]:
        """Inside the block there is a connection; one that was there before is used and left."""
        is_here = self._address is None
        with _environment({**SETTINGS, **(LOOPBACK if is_here else {})}):
            import ray

            if ray.is_initialized():
                yield
                return
            with _own_signals():
                if is_here:
                    self._start()
                else:
                    self._connect()
            try:
                yield
            finally:
                ray.shutdown()

    def _start(self) -> None:
        import ray

        ray.init(
            address="local",
            num_cpus=None if self._workers is None else self._workers * self._cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=STORE_BYTES,
        )

    def _connect(self) -> None:
        import ray
        from ray.exceptions import RayError

        address = self._address or "auto"
        try:
            if address != "auto":
                _require_answer(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, RayError) as error:
            said = (str(error).splitlines() or [repr(error)])[0].rstrip(".")
            raise DeviceError(
                f"no Ray at {address!r} ({said}); start one with `ray start --head`, or run on "
                f"this machine without --ray"
            ) from error


def _carry_out(task: Task, gpus: int) -> End:
    # what Ray cancels is interrupted, and a cluster that began in the background would not listen
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return carry_out_there(task, gpus)


def _end(reference: Any, task: Task) -> End:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return seen_from_here(ray.get(reference))
    except RayError as error:  # its process died, its machine went away
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        is_trace = isinstance(error, RayTaskError)
        said = lines[-1 if is_trace else 0] if lines else type(error).__name__
        return End(task, "failed", f"Ray: {said}", 0.0)


def _require_answer(address: str) -> None:
    """Knocks, as Ray itself would try for minutes."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname is None or place.port is None:
        raise ValueError("give HOST:PORT, ray://HOST:PORT or auto")
    socket.create_connection((place.hostname, place.port), timeout=10).close()


def _require_room(nodes: Sequence[Json], *, cpus: int, gpus: int) -> None:
    """Refuses runs that no machine is large enough for: they would wait for ever."""
    rooms = [
        (int(each["Resources"].get("CPU", 0)), int(each["Resources"].get("GPU", 0)))
        for each in nodes
        if each["Alive"]
    ]
    if not any(room[0] >= cpus and room[1] >= gpus for room in rooms):
        listed = ", ".join(f"{room[0]} and {room[1]}" for room in sorted(set(rooms)))
        raise DeviceError(
            f"a run takes {cpus} cores and {gpus} GPUs, and no machine of this Ray has so many "
            f"(there are {listed}); give a lower --threads or --gpus"
        )


@contextmanager
def _environment(values: Mapping[str, str]) -> Generator[None]:
    """Inside the block the variables are set; afterwards all are as they were."""
    earlier = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(earlier)


@contextmanager
def _own_signals() -> Generator[None]:
    """Keeps what SIGTERM does, which Ray sets anew."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
