import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.data.album import in_memory, plant, sent

from vertebra.data.archive import open_tar, open_zip
from vertebra.data.decode import BrokenImage
from vertebra.data.folder import open_folder

NAMES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return plant(tmp_path / "pets", *NAMES)


def packed(folder: Path, compression: int) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in NAMES:
            archive.write(folder / name, name)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_are_the_files_of_the_folder(folder: Path, compression: int):
    ours = open_zip(packed(folder, compression)).splits["train"]
    theirs = open_folder(folder).splits["train"]
    assert list(ours.names) == list(theirs.names) == list(NAMES)
    for index in range(4):
        assert ours.content(index) == theirs.content(index)
        head = ours.content(index, limit=8)
        assert head and theirs.content(index).startswith(head)
    assert sent(ours).content(2) == theirs.content(2)


def test_a_member_that_was_changed_is_refused(folder: Path):
    path = packed(folder, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    place = data.index((folder / "dog/1.png").read_bytes()) + 60
    data[place] ^= 1
    path.write_bytes(data)
    split = open_zip(path).splits["train"]
    split.open(0, 3)
    with pytest.raises(BrokenImage, match=r"dog/1\.png is no readable image: its checksum differs"):
        split.open(2, 3)


@pytest.mark.parametrize("length", [0.3, 0.0])
def test_an_archive_that_shrank_under_the_run_names_the_file(folder: Path, length: float):
    path = packed(folder, zipfile.ZIP_DEFLATED)
    split = open_zip(path).splits["train"]
    data = path.read_bytes()
    path.write_bytes(data[: int(length * len(data))])
    with pytest.raises(BrokenImage, match=r"dog/2\.png .*archive"):
        split.open(3, 3)
    path.unlink()
    with pytest.raises(BrokenImage, match="no such file"):
        split.open(3, 3)


def test_a_member_that_unpacks_to_gigabytes_is_refused_before_it_is_read(folder: Path):
    split = open_zip(packed(folder, zipfile.ZIP_DEFLATED)).splits["train"]
    split.reader.table["size"] = 2**40
    with pytest.raises(BrokenImage, match="unpacks to 1099511627776 bytes"):
        split.open(0, 3)


def test_deflated_bytes_never_unpack_to_more_than_was_declared(folder: Path):
    split = open_zip(packed(folder, zipfile.ZIP_DEFLATED)).splits["train"]
    split.reader.table["size"] = 10
    with pytest.raises(BrokenImage, match="checksum"):
        split.open(0, 3)


def test_members_of_a_tar_can_be_read_from_their_beginning_only(folder: Path):
    import tarfile

    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "pets")
    split = open_tar(path).splits["train"]
    assert split.content(1) == (folder / "cat/2.png").read_bytes()
    assert split.content(1, limit=10) == split.content(1)[:10]
    assert not split.in_memory


def test_arrays_give_their_pixels_and_a_file_of_them():
    split = in_memory(3)
    assert split.in_memory
    assert (np.asarray(split.open(2, 1)) == 2).all()
    assert split.open(2, 3).mode == "RGB"
    assert split.content(1).startswith(b"P5 8 8 255\n\x01\x01")


def test_a_missing_file_and_a_folder_in_its_place_are_named(folder: Path):
    split = open_folder(folder).splits["train"]
    (folder / "cat/1.png").unlink()
    with pytest.raises(BrokenImage, match=r"cat/1\.png is no readable image: no such file"):
        split.open(0, 3)
    (folder / "cat/1.png").mkdir()
    with pytest.raises(BrokenImage, match=r"cat/1\.png .* directory"):
        split.open(0, 3)


def test_subset_and_order_of_a_split():
    split = in_memory(5)
    part = split.subset([4, 0])
    assert [part.name(0), part.name(1)] == ["drawn-4", "drawn-0"]
    assert part.labels.tolist() == [0, 0]
    assert (np.asarray(part.open(0, 1)) == 4).all()
