"""Ports: any, a busy one, one that cannot be."""

import socket

import pytest

pytest.importorskip("uvicorn")

from vertebra.errors import DeviceError
from vertebra.export.listening import Port


def test_any_port_is_one_whose_number_is_told():
    port = Port.take("127.0.0.1", 0)
    with port.socket:
        number = port.socket.getsockname()[1]
        assert number and port.address == f"http://127.0.0.1:{number}"
        assert port.is_loopback


def test_a_port_of_every_address_is_open_to_others():
    port = Port.take("0.0.0.0", 0)
    with port.socket:
        assert not port.is_loopback


def test_an_address_of_the_sixth_version_stands_in_brackets():
    try:
        port = Port.take("::1", 0)
    except DeviceError:
        pytest.skip("this machine has no such addresses")
    with port.socket:
        assert port.address.startswith("http://[::1]:") and port.is_loopback


def test_answers_are_sent_at_once():
    port = Port.take("127.0.0.1", 0)
    with port.socket:
        assert port.socket.proto == socket.IPPROTO_TCP, "asyncio looks at it"


def test_a_busy_port_is_told_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        number = busy.getsockname()[1]
        with pytest.raises(DeviceError) as told:
            Port.take("127.0.0.1", number)
    assert str(told.value) == (
        f"cannot listen on 127.0.0.1, port {number}: it is in use; choose another --port, "
        f"or 0 for any that is free"
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (("192.0.2.1", 0), "that is no address of this machine; give a --host that is one"),
        (UnicodeError("label too long"), "the name is not known; give a --host that is an address"),
        (socket.gaierror(-2, "unknown"), "the name is not known; give a --host that is an address"),
    ],
)
def test_a_host_that_is_not_this_machine_is_told(monkeypatch, found, told):
    def look_up(*_, **__):
        if isinstance(found, Exception):
            raise found
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", found)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(DeviceError) as refused:
        Port.take("there", 0)
    assert str(refused.value) == f"cannot listen on there, port 0: {told}"
