"""What every test runs under: one thread, no network, fixed examples, the development data."""

import gc
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# The same examples each time, and no limit on the time of one: machines differ.
settings.register_profile("vertebra", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("vertebra")

# Hubs read these on import; the guard below stops whatever does not ask.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"


# A shell that starts tests in the background has them ignore Ctrl-C, and what they start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spares the garbage collector what imports have made: it would look at all of it each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Lets the collector see them again: some libraries complain of what is left at the end."""
    gc.unfreeze()


def pytest_runtest_setup() -> None:
    """One thread: faster for small tensors, and the same sums everywhere; torch may be absent."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def forgetful(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a file of tests caches goes with it, else the collector looks at it ever after."""
    yield
    for each in vars(request.module).values():
        if hasattr(each, "cache_clear") and each.__module__ == request.module.__name__:
            each.cache_clear()


@pytest.fixture(scope="module")
def no_page() -> Iterator[None]:
    """Leaves out report.html, which is drawn from a run's files and takes a third of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vertebra.recipes.run.write_report", lambda place: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept between runs is kept in a folder of the tests, and so in their processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERTEBRA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """A connection, or a name look-up, that would leave this machine fails the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded_connect(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


@pytest.fixture(scope="session")
def packs() -> Path:
    """The folder of the development data; a test that asks for it is skipped where it is absent."""
    named = os.environ.get("VERTEBRA_DATA")
    places = [Path(named)] if named else [ROOT / "shared/data", ROOT.parent / "shared/data"]
    for place in places:
        if place.is_dir():
            return place
    pytest.skip("no development data: set VERTEBRA_DATA, or place it in shared/data")


def _guarded_connect(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != socket.AF_UNIX:
            _require_loopback(address[0])
        return connect(self, address)

    return guarded


def _guarded_lookup(look_up: Any) -> Any:
    def guarded(host: Any, *arguments: Any, **options: Any) -> Any:
        _require_loopback(host)
        return look_up(host, *arguments, **options)

    return guarded


def _require_loopback(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", "0.0.0.0", "::"):
        return
    try:
        is_local = ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        pytest.fail(f"the test reached for the network: {name}")
