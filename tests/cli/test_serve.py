"""`vertebra serve`: the answers of `predict` over HTTP, from a real process that ends as told."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest
from tests.cli.conftest import vertebra

from vertebra.cli import serve

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from tests.export.asking import ask, form


class Running:
    """The command in a process of its own, once it has said where it answers."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "vertebra", "serve", *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        while "curl " not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            self.said += line
        self.address = re.search(r"http://\S+", self.said)[0]

    def post(self, *paths):
        """Returns the rows of files that are sent as a form."""
        body, kind = form([(str(path), path.read_bytes()) for path in paths])
        return ask(self.address, "POST", "/predict?top=3", body, kind)

    def end(self, kind: signal.Signals) -> tuple[int, str, str]:
        """Returns exit code, the rest of stdout, and stderr."""
        self.process.send_signal(kind)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def running(trained):
    process = Running(trained[0], "--port=0", "--no-optimize")
    yield process
    process.process.kill()
    process.process.communicate()


def predicted(trained, *paths):
    return json.loads(vertebra("predict", trained[0], *paths, "--top=3", "--format=json").out)


def test_it_says_where_it_answers_and_with_what(running):
    assert running.address.startswith("http://127.0.0.1:")
    assert not running.address.endswith(":0")
    for told in (
        r"open to +this machine alone\s",
        r"network +resnetrs26 with .*width=0\.125",
        r"classes +3: left, middle, right\s",
        r"input +3 x 16 x 16 px\s",
        r"computes in +fp32, as it was trained, up to 32 images at once\s",
        rf"curl -F image=@IMAGE {running.address}/predict\n",
    ):
        assert re.search(told, running.said), (told, running.said)


def test_the_answers_are_those_of_predict(running, trained, album):
    one = album / "val/left/0.png"
    assert running.post(one).json == {"images": predicted(trained, one)}
    paths = sorted((album / "val").rglob("*.png"))
    theirs = predicted(trained, *paths)
    for ours, row in zip(running.post(*paths).json["images"], theirs, strict=True):
        assert ours["file"] == row["file"]
        shares = {each["class"]: each["probability"] for each in row["classes"]}
        # they came in other batches, whose sums are rounded otherwise
        for each in ours["classes"]:
            assert each["probability"] == pytest.approx(shares[each["class"]], abs=2e-6)


def test_a_file_that_cannot_be_read_has_the_row_that_predict_gives_it(running, trained, tmp_path):
    for name, content in (("a.png", b""), ("b.png", b"text")):
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    said = running.post(*paths)
    assert (said.status, said.json["images"]) == (422, predicted(trained, *paths))


@pytest.mark.data
def test_odd_images_are_answered_as_predict_answers_them(running, trained, packs):
    paths = sorted(path for path in (packs / "odd-images/files").iterdir() if path.is_file())
    with ThreadPoolExecutor(8) as clients:
        said = [*clients.map(running.post, paths)]
    for answer, row in zip(said, predicted(trained, *paths), strict=True):
        (ours,) = answer.json["images"]
        assert ours.get("error") == row.get("error")
        assert (answer.status == 200) is ("classes" in row)
        shares = {each["class"]: each["probability"] for each in row.get("classes", ())}
        for each in ours.get("classes", ()):
            assert each["probability"] == pytest.approx(shares[each["class"]], abs=2e-6)


def test_its_page_loads_nothing_and_may_ask_nobody_else(running):
    page = unescape(ask(running.address, "GET", "/").text)
    assert "resnetrs26 with" in page and "left, middle, right" in page
    assert "default-src 'none'" in page and "connect-src 'self'" in page
    assert not re.search(r"https?://", page)


def test_sigterm_ends_it_when_the_last_answer_is_out(running, album):
    with ThreadPoolExecutor(1) as clients:
        paths = sorted((album / "train").rglob("*.png"))
        last = clients.submit(running.post, *paths)
        while not ask(running.address, "GET", "/health").json["waiting"]:
            if last.done():
                break
        code, out, err = running.end(signal.SIGTERM)
        assert last.result(30).status == 200
    assert (code, err) == (0, "")
    assert re.fullmatch(r"stopped by SIGTERM after \d+ images\n", out.splitlines(True)[-1])


def test_in_the_fast_form_it_answers_the_same_and_sigint_ends_it(trained, album):
    running = Running(trained[0], "--port=0", "--host=0.0.0.0", "--batch-size=1")
    try:
        assert "fp32, fast form, up to 1 image at once" in running.said
        assert "everybody who reaches this machine; nobody is asked who they are" in running.said
        reached = running.address = running.address.replace("0.0.0.0", "127.0.0.1")
        path = album / "val/left/0.png"
        (ours,) = running.post(path).json["images"]
        (theirs,) = predicted(trained, path)
        for one, other in zip(ours["classes"], theirs["classes"], strict=True):
            assert one["class"] == other["class"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)
        assert ask(reached, "GET", "/model").json["fast_form"] is True
        assert running.end(signal.SIGINT) == (0, "stopped by SIGINT after 1 image\n", "")
    finally:
        running.process.kill()
        running.process.communicate()


def test_a_busy_port_is_told_before_anything_is_loaded(trained, monkeypatch):
    monkeypatch.setattr("vertebra.recipes.deploy.load_run", None)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        number = busy.getsockname()[1]
        said = vertebra("serve", trained[0], "--port", number)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: cannot listen on 127.0.0.1, port {number}: it is in use;")


def test_a_port_is_given_back_where_the_run_cannot_be_loaded(trained, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    for _ in range(2):
        said = vertebra("serve", trained[0], "--port", number, "--device=cuda:9")
        assert said.code == 2 and "device 'cuda:9' is not there" in said.err


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--port=70000", "port=70000; give 1 to 65535, or 0 for any that is free"),
        ("--port=-1", "port=-1; give 1 to 65535"),
        ("--top=0", "top=0; give at least 1"),
        ("--batch-size=0", "batch_size=0; give at least 1"),
        ("--max-waiting=0", "max_waiting=0; give at least 1"),
        ("--max-upload-mb=0", "max_upload_mb=0.0; give a number above 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(trained, flag, told):
    said = vertebra("serve", trained[0], flag)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {told}")


def test_what_is_no_run_is_refused(tmp_path):
    said = vertebra("serve", tmp_path)
    assert said.code == 2 and "is no run directory" in said.err


def test_without_its_libraries_the_extra_is_named(trained, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    said = vertebra("serve", trained[0])
    assert said == (
        2,
        "",
        "error: FastAPI and uvicorn are not installed; "
        "bring them with `pip install vertebra[serve]`\n",
    )


def test_help_loads_neither_torch_nor_a_server():
    code = (
        "import sys\nfrom vertebra.cli.main import command\ncommand(['serve', '--help'])\n"
        "print({'torch', 'fastapi', 'uvicorn'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.endswith("set()\n") and "--max-waiting" in found.stdout
