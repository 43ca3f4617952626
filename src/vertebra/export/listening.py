"""A port, and an application that answers there until it is told to stop."""

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ipaddress import ip_address
from types import FrameType
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp

from vertebra.errors import DeviceError

GRACE_S = 30
"""So long requests that are under way may take to end once the server is told to stop."""

_BACKLOG = 1024

_ADVICE = {
    errno.EADDRINUSE: "it is in use; choose another --port, or 0 for any that is free",
    errno.EADDRNOTAVAIL: "that is no address of this machine; give a --host that is one",
    errno.EACCES: "that takes more rights; choose a --port from 1024 on",
}
"""Error of the system -> what it means to the one who asked."""


class Port(NamedTuple):
    """A port of this machine; who connects to it waits until somebody answers.

    is_loopback: only this machine reaches it.
    """

    socket: socket.socket
    address: str
    is_loopback: bool

    @classmethod
    def take(cls, host: str, port: int) -> "Port":
        """Returns the port; 0 takes any that is free.

        Raises:
            DeviceError: it is in use or not allowed, or the host is no address of this machine.
        """
        with _explained(host, port):
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
            family, _, _, _, where = found[0]
            taken = _listening(family, where)
        name, number = taken.getsockname()[:2]
        shown = f"[{name}]" if family == socket.AF_INET6 else name
        return cls(taken, f"http://{shown}:{number}", ip_address(name).is_loopback)


def _listening(family: int, where: Any) -> socket.socket:
    # the protocol is named, as asyncio holds small answers back for 40 ms where it is not
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two listen on one port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(where)
        taken.listen(_BACKLOG)
    except BaseException:
        taken.close()
        raise
    return taken


@contextmanager
def _explained(host: str, port: int) -> Generator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:  # the latter of a name that can be none
        number = error.errno if isinstance(error, OSError) else None
        told = _ADVICE.get(number or 0, "the name is not known; give a --host that is an address")
        raise DeviceError(f"cannot listen on {host}, port {port}: {told}") from error


class Server(uvicorn.Server):
    """Answers on a port until SIGINT or SIGTERM comes, or `stop` is called; a second SIGINT does
    not wait for the requests that are under way.

    on_ready:   is called when it answers, and signals end it as they should.
    stopped_by: the name of the signal.
    """

    def __init__(
        self, app: ASGIApp, port: Port, *, on_ready: Callable[[], None] = lambda: None
    ) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        super().__init__(config)
        self.stopped_by: str | None = None
        self._port = port
        self._on_ready = on_ready

    def answer(self) -> None:
        """Returns when it was stopped and the last answer is out."""
        # it warns of forms that are broken, which is told to those who sent them
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        self.run([self._port.socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to answer, and says so."""
        await super().startup(sockets)
        self._on_ready()

    def stop(self) -> None:
        """Has it end; any thread may ask."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Notes a signal. Unlike uvicorn's it is not raised again at the end: to stop is no
        failure."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self.stopped_by = signal.Signals(sig).name
