import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.data.album import encoded, noise, plant

from vertebra.data.archive import open_tar, open_zip
from vertebra.errors import DataError, DeviceError

PICTURE = encoded(noise(4, 4))


def tar_with(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for member in members:
            member.size = len(PICTURE) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(PICTURE) if member.isreg() else None)
    return path


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "../secret"
    return info


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VERTEBRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
def test_a_tar_is_read_where_it_is_or_from_the_cache(tmp_path: Path, cache: Path, ending: str):
    folder = plant(tmp_path / "pets", "train/a/1.png", "train/b/1.png", "val/a/1.png", "README")
    path = tmp_path / f"pets{ending}"
    with tarfile.open(path, "w" if ending == ".tar" else "w:gz") as archive:
        archive.add(folder, "./pets")
    source = open_tar(path)
    assert (source.name, source.classes) == ("pets", ("a", "b"))
    assert source.splits["val"].content(0) == (folder / "val/a/1.png").read_bytes()
    unpacked = list(cache.rglob("*.tar"))
    assert len(unpacked) == (0 if ending == ".tar" else 1)
    open_tar(path)
    assert list(cache.rglob("*")) == [*cache.glob("unpacked"), *unpacked]


def test_a_cache_that_cannot_be_written_is_a_device_error(tmp_path: Path, cache: Path):
    path = tar_with(tmp_path / "x.tar.gz", tarfile.TarInfo("a/1"), mode="w:gz")
    cache.write_text("a file in its place")
    with pytest.raises(DeviceError, match=r"cannot write .* set VERTEBRA_CACHE"):
        open_tar(path)


@pytest.mark.parametrize("name", ["/etc/a/1.png", "../a/1.png", "x/../../a/1.png", "C:/a/1.png"])
def test_members_that_point_outside_are_refused(tmp_path: Path, name: str):
    with pytest.raises(DataError, match="points outside it; pack it again"):
        open_tar(tar_with(tmp_path / "x.tar", tarfile.TarInfo(name)))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(name.replace("x/../", "x\\..\\"), PICTURE)
    with pytest.raises(DataError, match="points outside it; pack it again"):
        open_zip(tmp_path / "x.zip")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes):
    path = tar_with(tmp_path / "x.tar", tarfile.TarInfo("a/1.png"), link("b/1.png", kind))
    with pytest.raises(DataError, match=r"'b/1.png', which is a link or a special file"):
        open_tar(path)


def test_links_in_a_zip_are_refused(tmp_path: Path):
    info = zipfile.ZipInfo("a/1.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "../secret")
    with pytest.raises(DataError, match="which is a link"):
        open_zip(tmp_path / "x.zip")


def test_rare_packing_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a/1.png", PICTURE)
    with pytest.raises(DataError, match="encrypted or packed in a rare way; pack it again"):
        open_zip(tmp_path / "x.zip")


def test_damaged_archives_are_refused(tmp_path: Path, cache: Path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"cannot be read as a zip archive .* copy it again"):
        open_zip(path)
    path = tmp_path / "x.tar"
    path.write_bytes(b"no tar" * 200)
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        open_tar(path)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(bytes(9999))[:-20])
    with pytest.raises(DataError, match="cannot be read as a gzip archive"):
        open_tar(path)
    assert not list(cache.rglob("*.tar"))


def test_clutter_of_other_systems_is_passed_over(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("pets\\a\\1.png", "./pets/b/1.png", "__MACOSX/pets/a/._1.png", "pets/a/"):
            archive.writestr(name, PICTURE)
    source = open_zip(tmp_path / "x.zip")
    assert source.classes == ("a", "b")
    assert [source.splits["train"].open(index, 3).size for index in (0, 1)] == [(4, 4), (4, 4)]


@pytest.mark.data
def test_the_packs_are_found_whole(packs: Path):
    photos = open_tar(packs / "photos/photos.tar")
    assert {name: len(split) for name, split in photos.splits.items()} == {"train": 500, "val": 160}
    assert len(photos.classes) == 10
    assert photos.splits["train"].open(0, 3).size == (224, 224)
    small = open_zip(packs / "cifar10-small/cifar10-small.zip")
    assert {name: len(split) for name, split in small.splits.items()} == {
        **{"train": 8000, "val": 2000}
    }
    assert small.splits["val"].open(7, 3).size == (32, 32)
