"""The server: what it answers, what it refuses and how, and that it goes on after anything."""

import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from PIL import Image
from tests.export.asking import FACTS, Brightness, asked, grey

from vertebra.errors import RecipeError
from vertebra.export import uploads
from vertebra.export.limits import Limits

LIGHT = {"class": "light", "probability": 1.0}


@pytest.fixture(scope="module")
def server():
    with asked(Brightness(), Limits(top=1, max_upload_mb=0.5)) as asking:
        yield asking


def until(holds) -> None:
    """Waits for something that another thread does."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("kind", ["image/png", "image/anything", "application/octet-stream", None])
def test_the_bytes_of_an_image_are_answered_whatever_their_type(server, kind):
    said = server.post(grey(255), kind)
    assert (said.status, said.json) == (200, {"images": [{"file": "-", "classes": [LIGHT]}]})


def test_a_form_gets_a_row_for_each_file_in_order(server):
    said = server.send(("b.png", grey(255)), ("a.txt", b"text"), ("c.png", grey(0)))
    assert said.status == 200
    good, broken, dark = said.json["images"]
    assert good == {"file": "b.png", "classes": [LIGHT]}
    assert broken == {"file": "a.txt", "error": "no known image format begins with b'text'"}
    assert dark["classes"][0]["class"] == "dark"


def test_top_names_more_classes_and_no_more_than_there_are(server):
    for query, names in (("?top=2", ["light", "dark"]), ("?top=9", ["light", "dark"])):
        (row,) = server.post(grey(204), query=query).json["images"]
        assert [each["class"] for each in row["classes"]] == names
        assert [each["probability"] for each in row["classes"]] == [0.8, 0.2]


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5"])
def test_a_top_that_cannot_be_is_refused(server, top):
    said = server.post(grey(0), query=f"?top={top}")
    assert said.status == 422
    assert said.json == {"error": f"top='{top}'; give a whole number, at least 1"}


def hostile() -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "jpeg")
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "png")
    return {
        "empty": b"",
        "text": b"no picture",
        "cut off": file.getvalue()[:1500],
        "bomb": bomb.getvalue(),
        "script": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "zip": b"PK\x03\x04" + bytes(100),
    }


@pytest.mark.parametrize(("name", "content"), hostile().items(), ids=[*hostile()])
def test_what_is_no_image_is_told_so_and_the_server_goes_on(server, name, content, caplog):
    said = server.post(content)
    assert said.status == 422
    assert said.json["error"].startswith("it is no readable image: ")
    assert said.json["error"].endswith("; send a whole image file")
    (row,) = said.json["images"]
    assert row["error"] in said.json["error"]
    assert server.post(grey(255)).status == 200
    assert caplog.records == []


def test_a_form_of_nothing_readable_is_told_with_every_reason(server):
    said = server.send(("a", b""), ("b", b"text"))
    assert said.status == 422
    assert said.json["error"].startswith("none of 2 files is a readable image (the first: the file")
    assert [row["file"] for row in said.json["images"]] == ["a", "b"]


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "I;16", "P", "1", "LA"])
def test_every_kind_of_pixel_is_answered(server, mode):
    file = io.BytesIO()
    Image.new("L", (8, 8), 255).convert(mode.replace("I;16", "I")).save(file, "tiff")
    assert server.post(file.getvalue()).status == 200


def test_of_an_animation_the_first_frame_counts(server):
    frames, file = [Image.new("L", (8, 8), value) for value in (255, 0)], io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:])
    (row,) = server.post(file.getvalue(), "image/gif").json["images"]
    assert row["classes"] == [LIGHT]


@pytest.mark.parametrize(
    ("body", "kind", "status", "told"),
    [
        (b"x=1", "application/x-www-form-urlencoded", 415, "send the bytes of an image as image/"),
        (b"{}", "application/json", 415, "a body of type 'application/json' is not understood"),
        (bytes(2**23), "text/plain", 415, "a body of type 'text/plain' is not understood"),
        (b"abc", "multipart/form-data", 400, "the form cannot be read (Missing boundary"),
        (b"abc", "multipart/form-data; boundary=x", 400, "the form cannot be read (Invalid"),
        (b"--cut--\r\n", "multipart/form-data; boundary=cut", 400, "the form holds no file; send"),
        (b"", "multipart/form-data; boundary=cut", 400, "the form holds no file; send"),
        (bytes(2**19 + 1), "image/png", 413, "the request has 0.5 MB, and 0.5 MB are allowed"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_understood_is_refused_in_a_sentence(
    server, body, kind, status, told, caplog
):
    said = server.post(body, kind)
    assert (said.status, [*said.json]) == (status, ["error"])
    assert told in said.json["error"]
    assert caplog.records == []


def test_a_form_is_as_bounded_as_a_body(server):
    said = server.send(*((f"{number}", bytes(2**17)) for number in range(5)))
    assert said.status == 413
    told = server.send(*(("x", grey(0)),) * 300).json["error"]
    assert told.startswith("the form cannot be read (Too many files. Maximum number of files is")
    assert told.endswith("); send up to 256 files as multipart/form-data")


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch):
    monkeypatch.setattr(uploads, "BODY_SECONDS", 0.05)
    with asked(Brightness()) as server:
        with raw(
            server, b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"
        ) as slow:
            assert slow.recv(99).startswith(b"HTTP/1.1 408 ")
        until(lambda: server.desk.waiting == 0)


def test_a_client_that_goes_away_leaves_its_place(server, caplog):
    with raw(server, b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"):
        until(lambda: server.desk.waiting == 1)
    until(lambda: server.desk.waiting == 0)
    assert server.post(grey(0)).status == 200
    assert caplog.records == []


def raw(server, content: bytes) -> socket.socket:
    """Returns a connection over which this was sent."""
    where = urlsplit(server.address)
    connection = socket.create_connection((where.hostname, where.port), timeout=30)
    connection.sendall(content)
    return connection


def test_no_http_at_all_is_no_matter(server, caplog):
    with raw(server, b"\x16\x03\x01 hello\r\n\r\n") as connection:
        assert connection.recv(99).startswith(b"HTTP/1.1 400 ")
    assert server.get("/health").status == 200
    assert caplog.records == []


def test_requests_that_come_in_during_a_pass_go_through_the_network_together():
    network = Brightness()
    with asked(network, Limits(batch_size=4)) as server, ThreadPoolExecutor(7) as clients:
        network.gate.clear()
        first = clients.submit(server.post, grey(0))
        assert network.begun.acquire(timeout=30)
        others = [clients.submit(server.post, grey(40 * number)) for number in range(1, 6)]
        until(lambda: server.desk.batching._waiting.qsize() == 5)
        assert server.get("/health").json == {
            "status": "ok", "waiting": 6, "answered": 0, "passes": 1
        }  # fmt: skip
        network.gate.set()
        said = [each.result(30).json["images"][0] for each in (first, *others)]
        assert server.get("/health").json["answered"] == 6
    assert network.sizes == [1, 4, 1]
    for number, row in enumerate(said):
        shares = {each["class"]: each["probability"] for each in row["classes"]}
        assert shares["light"] == pytest.approx(40 * number / 255, abs=1e-6), "each gets its own"


def test_more_than_may_wait_are_told_to_come_again():
    network = Brightness()
    limits = Limits(batch_size=1, max_waiting=3)
    with asked(network, limits) as server, ThreadPoolExecutor(3) as clients:
        network.gate.clear()
        waiting = [clients.submit(server.post, grey(0)) for _ in range(2)]
        until(lambda: server.desk.waiting == 2)
        full = server.send(("a", grey(0)), ("b", grey(0)))
        assert full.status == 503 and full.headers["retry-after"] == "1"
        assert full.json == {"error": "too many images are waiting; send this again in a second"}
        waiting.append(clients.submit(server.post, grey(0)))
        until(lambda: server.desk.waiting == 3)
        assert server.post(bytes(2**23)).status == 503, "also to one that still sends"
        network.gate.set()
        assert [each.result(30).status for each in waiting] == [200] * 3
        assert server.send(("a", grey(0)), ("b", grey(0)), ("c", grey(0))).status == 200


def test_a_network_that_fails_is_a_status_of_its_own_and_the_next_image_is_answered(caplog):
    network = Brightness()
    with asked(network) as server:
        network.gate = None
        said = server.post(grey(0))
        assert said.status == 500
        assert said.json["error"].startswith("the server failed on this (AttributeError)")
        network.gate = threading.Event()
        network.gate.set()
        assert server.post(grey(0)).status == 200
    assert "AttributeError" in caplog.text, "who runs it has to see a defect"


def test_it_ends_when_what_is_under_way_is_answered():
    network = Brightness()
    with ThreadPoolExecutor(1) as clients:
        with asked(network) as server:
            network.gate.clear()
            last = clients.submit(server.post, grey(255))
            assert network.begun.acquire(timeout=30)
            server.server.stop()
            threading.Timer(0.3, network.gate.set).start()
        assert last.result(30).status == 200


def test_it_says_what_it_is(server):
    assert server.get("/model").json == FACTS
    home = server.get("/")
    assert home.text == "page" and home.headers["content-type"] == "text/html; charset=utf-8"
    said = server.get("/openapi.json").json
    assert sorted(said["paths"]) == ["/health", "/model", "/predict"]
    body = said["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert sorted(body) == ["application/octet-stream", "image/*", "multipart/form-data"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/nothing"])
def test_there_is_no_page_that_loads_from_elsewhere_and_nothing_else(server, path):
    said = server.get(path)
    assert said.status == 404
    assert said.json == {"error": f"Not Found: GET {path}; see /openapi.json for what is there"}
    assert "http" not in json.dumps(server.get("/openapi.json").json)


def test_another_method_is_refused(server):
    said = server.get("/predict")
    assert said.status == 405 and said.headers["allow"] == "POST"
    assert "GET /predict" in said.json["error"]


@pytest.mark.parametrize("name", ["top", "batch_size", "max_waiting", "max_upload_mb"])
def test_limits_of_nothing_are_refused(name):
    with pytest.raises(RecipeError, match=f"{name}=0; give"):
        Limits(**{name: 0})
