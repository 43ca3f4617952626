"""Pictures that are kept decoded: the same as without, whatever becomes of the file."""

import os
import pickle
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from tests.data.album import encoded, noise, plant

from vertebra.data.decoded import Album, Decoded
from vertebra.data.folder import open_folder
from vertebra.data.images import Split
from vertebra.data.pixels import Pixels
from vertebra.data.survey import survey
from vertebra.errors import DeviceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in range(12):
        path = tmp_path / "images" / "ab"[place % 2] / f"{place}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(9 + place, 20, seed=place), "JPEG"))
    return tmp_path / "images"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VERTEBRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VERTEBRA_DECODED_MB", raising=False)
    return tmp_path / "cache" / "decoded"


def surveyed(folder: Path, **how) -> Split:
    return survey(open_folder(folder), channels=3, **how).usable.splits["train"]


def pixels(split: Split, channels: int = 3) -> list[bytes]:
    opened = [split.open(index, channels).tobytes() for index in range(len(split))]
    assert opened == [split.pixels(index, channels).tobytes() for index in range(len(split))]
    return opened


def test_kept_pictures_are_those_that_decoding_gives(folder: Path, cache: Path):
    plain = surveyed(folder, keeps=False)
    first, second = surveyed(folder), surveyed(folder)
    assert not isinstance(plain.reader, Decoded)
    for kept in (first, second):
        assert isinstance(kept.reader, Decoded)
        assert pixels(kept) == pixels(plain)
        assert kept.open(3, 3).size == plain.open(3, 3).size == (13, 20)
        assert pixels(kept.subset([4, 1])) == pixels(plain.subset([4, 1]))
        assert pixels(kept, channels=1) == pixels(plain, channels=1)
        assert kept.content(5) == plain.content(5)
    assert len([*cache.iterdir()]) == 1


def test_what_is_kept_is_not_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    surveyed(folder)

    def decode(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("vertebra.data.examine.decode", decode)
    monkeypatch.setattr("vertebra.data.readers.decode", decode)
    monkeypatch.setattr("vertebra.data.readers.decode_pixels", decode)
    assert len(pixels(surveyed(folder))) == 12


def test_a_file_that_changes_is_seen(folder: Path):
    before = pixels(surveyed(folder))
    (folder / "a/0.jpg").write_bytes(encoded(noise(8, 8, seed=99), "JPEG"))
    (folder / "b/1.jpg").unlink()
    after = surveyed(folder)
    assert isinstance(after.reader, Decoded)
    assert pixels(after) == pixels(surveyed(folder, keeps=False))
    assert len(set(pixels(after)) & set(before)) == 10


@pytest.mark.parametrize("damage", ["pixel", "table", "cut", "other", "empty"])
def test_a_damaged_file_changes_nothing(folder: Path, cache: Path, damage: str):
    surveyed(folder)
    (file,) = cache.iterdir()
    data = bytearray(file.read_bytes())
    data[-24 if damage == "table" else 100] ^= 1  # a picture's width, or a pixel
    parts = {"cut": data[:-300], "other": b"x" * 4000, "empty": b""}
    file.write_bytes(parts.get(damage, data))
    assert pixels(surveyed(folder)) == pixels(surveyed(folder, keeps=False))


def test_another_process_maps_the_file_itself(folder: Path, cache: Path):
    split = surveyed(folder)
    assert isinstance(split.reader, Decoded)
    assert len(pickle.dumps(split)) < sum(map(len, pixels(split))) / 2
    received = deepcopy(split)  # by the same way as through a pipe
    assert pixels(received) == pixels(split)
    assert not np.shares_memory(received.pixels(0, 3), split.pixels(0, 3))
    (file,) = cache.iterdir()
    file.unlink()  # as another source may make it go
    assert pixels(deepcopy(split)) == pixels(split)


def test_a_broken_image_stays_refused(folder: Path):
    (folder / "a/cut.jpg").write_bytes(encoded(noise(64, 64), "JPEG")[:700])
    for _ in range(2):
        found = survey(open_folder(folder), channels=3)
        assert [each.name for each in found.examinations["train"].refused] == ["a/cut.jpg"]
        assert len(found.usable.splits["train"]) == 12


@pytest.mark.parametrize("limit", ["0", "nothing fits"])
def test_no_file_is_left_where_none_is_wanted(
    folder: Path, cache: Path, limit: str, monkeypatch: pytest.MonkeyPatch
):
    if limit == "0":
        monkeypatch.setenv("VERTEBRA_DECODED_MB", "0")
    else:
        monkeypatch.setattr("vertebra.data.decoded._MB", 1000)
        monkeypatch.setenv("VERTEBRA_DECODED_MB", "1")
    split = surveyed(folder)
    assert not isinstance(split.reader, Decoded)
    assert pixels(split) == pixels(surveyed(folder, keeps=False))
    assert not cache.is_dir() or not [*cache.iterdir()]


def surveyed_within(kilobytes: int, folder: Path, patch: pytest.MonkeyPatch) -> tuple[Split, int]:
    """Returns the split, and how many pictures were written for it."""
    written: list[int] = []
    add = Album.add

    def counted(album: Album, digest: int, pixels: Pixels) -> None:
        written.append(digest)
        add(album, digest, pixels)

    patch.setattr(Album, "add", counted)
    patch.setattr("vertebra.data.decoded._MB", 1000)
    patch.setenv("VERTEBRA_DECODED_MB", str(kilobytes))
    return surveyed(folder), len(written)


def test_pictures_that_are_too_large_are_foreseen(folder: Path, monkeypatch: pytest.MonkeyPatch):
    kilobytes = sum((9 + place) * 20 * 3 for place in range(12)) / 1000
    for limit, written in ((int(kilobytes), 0), (int(kilobytes) + 1, 12)):
        with monkeypatch.context() as patch:
            split, found = surveyed_within(limit, folder, patch)
            assert found == written and isinstance(split.reader, Decoded) == bool(written)


def test_pictures_that_prove_too_large_end_the_album(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vertebra.data.decoded._PROBED", 1)  # the first is the smallest
    split, written = surveyed_within(8, folder, monkeypatch)
    assert written == 12 and not isinstance(split.reader, Decoded)
    assert not [*cache.iterdir()]


def test_a_limit_that_is_no_number_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VERTEBRA_DECODED_MB", "1 GB")
    with pytest.raises(DeviceError, match="VERTEBRA_DECODED_MB='1 GB'; give a whole number"):
        surveyed(folder)


def test_a_disk_that_cannot_be_written_is_no_error(folder: Path, cache: Path):
    cache.parent.write_text("a file where the folder should be")
    assert pixels(surveyed(folder)) == pixels(surveyed(folder, keeps=False))


def test_the_longest_unused_source_makes_room(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vertebra.data.decoded._FILES", 2)
    written: list[str] = []
    for place in range(4):
        surveyed(plant(tmp_path / f"source{place}", "a/0.png", "b/0.png"))
        new = next(file for file in cache.iterdir() if file.name not in written)
        os.utime(new, (place, place))
        written.append(new.name)
    assert {file.name for file in cache.iterdir()} == set(written[2:])


def test_equal_files_share_a_picture(tmp_path: Path, cache: Path):
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        path = tmp_path / "same" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(30, 30)))
    split = surveyed(tmp_path / "same")
    assert (
        isinstance(split.reader, Decoded)
        and len(np.unique(split.reader.pictures.table["start"])) == 1
    )
    (file,) = cache.iterdir()
    assert 30 * 30 * 3 < file.stat().st_size < 2 * 30 * 30 * 3
