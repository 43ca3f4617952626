"""Commands run in this process, and one small trained run that many tests read."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.recipes.drawn import draw_album

from vertebra.cli.main import command


class Said(NamedTuple):
    """What a command gave: its exit code, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


TINY = [
    "--image-size=16",
    "--workers=0",
    "--device=cpu",
    "--set=model.block=basic",
    "--set=model.blocks=[1,1,1,1]",
    "--set=model.width=0.125",
]
"""Flags that make a run last a second."""


def vertebra(*arguments: object) -> Said:
    """Runs a command as the terminal would."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = command([str(each) for each in arguments])
    return Said(code, *(_written(stream) for stream in (out, err)))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 36 images of three classes to train on and 18 to report on; leave it alone."""
    return draw_album(tmp_path_factory.mktemp("cli") / "album", train=12, val=6)


@pytest.fixture(scope="session")
def trained(album: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """The folder of a finished run on the album, and what the command said; leave it alone."""
    out = tmp_path_factory.mktemp("cli") / "run"
    said = vertebra("train", album, "--epochs=2", "--out", out, *TINY)
    assert said.code == 0, said.err
    return out, said


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
