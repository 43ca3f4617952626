"""A server of a network that needs no training, in a thread, and what asks it over HTTP."""

import io
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import torch
from PIL import Image

from vertebra.data.decode import decode
from vertebra.data.pixels import pixels_of
from vertebra.export.desk import Desk, Network
from vertebra.export.limits import Limits
from vertebra.export.listening import Port, Server
from vertebra.export.serving import application

FACTS = {
    "name": "brightness",
    "recipe": "none",
    "classes": ["dark", "light"],
    "preprocess": {"image_size": 1},
    "device": "cpu",
    "precision": "fp32",
    "fast_form": False,
    "batch_size": 4,
    "version": "0",
}


class Brightness:
    """Says how light an image is; a pass waits for `gate`, and its size is noted."""

    classes = ("dark", "light")

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.sizes = []

    def prepare(self, content, name):
        return pixels_of(decode(content, name, 1).resize((1, 1)))

    def probabilities(self, pictures):
        self.sizes.append(len(pictures))
        self.begun.release()
        assert self.gate.wait(30)
        light = torch.tensor([picture.item() / 255 for picture in pictures])
        return [torch.stack([1 - share, share]) for share in light]


class Said(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Asking(NamedTuple):
    """A server that runs, and what is behind it."""

    address: str
    desk: Desk
    server: Server

    def get(self, path: str) -> Said:
        return ask(self.address, "GET", path)

    def post(self, body: bytes, kind: str | None = "image/png", *, query: str = "") -> Said:
        return ask(self.address, "POST", f"/predict{query}", body, kind)

    def send(self, *files: tuple[str, bytes], query: str = "") -> Said:
        """Sends files as a form."""
        body, kind = form(files)
        return self.post(body, kind, query=query)


def ask(address: str, method: str, path: str, body: bytes | None = None, kind=None) -> Said:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    with closing(connection):
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        reply = connection.getresponse()
        return Said(reply.status, dict(reply.headers), reply.read().decode())


def form(files: Sequence[tuple[str, bytes]]) -> tuple[bytes, str]:
    """Returns files as a form, and its type."""
    parts = [
        b'--cut\r\nContent-Disposition: form-data; name="image"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in files
    ]
    return b"".join([*parts, b"--cut--\r\n"]), "multipart/form-data; boundary=cut"


def grey(value: int, kind: str = "png") -> bytes:
    """Returns the file of an image of one colour."""
    file = io.BytesIO()
    Image.new("L", (8, 8), value).save(file, kind)
    return file.getvalue()


@contextmanager
def asked(
    network: Network, limits: Limits | None = None, *, page: str = "page"
) -> Iterator[Asking]:
    """Yields a server that runs in a thread."""
    port = Port.take("127.0.0.1", 0)
    with Desk(network, limits or Limits()) as desk:
        server = Server(application(desk, page=page, facts=FACTS), port)
        thread = threading.Thread(target=server.answer)
        thread.start()
        try:
            yield Asking(port.address, desk, server)
        finally:
            server.stop()
            thread.join(30)
    assert not thread.is_alive() and desk.waiting == 0
