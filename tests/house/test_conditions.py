"""What tests/conftest.py promises every test."""

import socket
import warnings

import pytest
import torch


def test_tests_run_on_one_thread():
    assert torch.get_num_threads() == 1


def test_the_network_is_out_of_reach():
    with socket.socket() as outside:
        outside.settimeout(0.1)
        with pytest.raises(pytest.fail.Exception, match=r"network: 192\.0\.2\.1"):
            outside.connect(("192.0.2.1", 80))
    with pytest.raises(pytest.fail.Exception, match=r"network: example\.org"):
        socket.create_connection(("example.org", 443), timeout=0.1)


def test_loopback_stays_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("localhost", port), timeout=5).close()


def test_unix_sockets_stay_open(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("here")
        server.listen()
        client.connect("here")


def test_a_warning_is_an_error():
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_the_development_data_is_where_the_fixture_says(packs):
    assert (packs / "README.md").is_file()
