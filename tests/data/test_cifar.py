import tarfile
from dataclasses import replace
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from vertebra.data.cifar import CIFAR10, CIFAR100, Cifar, open_cifar
from vertebra.errors import DataError


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=["cifar10", "cifar100"])
def kind(request: pytest.FixtureRequest) -> Cifar:
    return request.param


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VERTEBRA_CACHE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "VERTEBRA_CACHE"


def drawn(folder: Path, kind: Cifar, records: int = 3) -> np.ndarray:
    """Writes files like the published ones; returns their pixels, training files first."""
    folder.mkdir(parents=True)
    (folder / kind.classes).write_text("first\nsecond\nthird\n\n")
    random = np.random.default_rng(0)
    planes = []
    for name in (*kind.train, *kind.test):
        pixels = random.integers(0, 256, (records, 3, 32, 32), dtype=np.uint8)
        labels = np.full((records, kind.label_bytes), 9, dtype=np.uint8)
        labels[:, -1] = np.arange(records)
        data = np.concatenate([labels, pixels.reshape(records, -1)], axis=1)
        (folder / name).write_bytes(data.tobytes())
        planes.append(pixels)
    return np.concatenate(planes)


@pytest.mark.parametrize("is_packed", [False, True])
def test_records_become_pictures(cache: Path, kind: Cifar, is_packed: bool):
    pixels = drawn(cache / kind.folder, kind)
    if is_packed:
        with tarfile.open(cache / kind.archive, "w:gz") as archive:
            archive.add(cache / kind.folder, kind.folder)
        for path in (cache / kind.folder).iterdir():
            path.unlink()
        (cache / kind.folder).rmdir()
    source = open_cifar(kind)
    assert source.classes == ("first", "second", "third")
    train, test = source.splits["train"], source.splits["test"]
    assert (len(train), len(test)) == (3 * len(kind.train), 3)
    assert np.array_equal(np.asarray(train.open(2, 3)), pixels[2].transpose(1, 2, 0))
    assert np.array_equal(np.asarray(test.open(0, 3)), pixels[len(train)].transpose(1, 2, 0))
    assert test.labels.tolist() == [0, 1, 2]
    assert not set(train.names) & set(test.names)


def test_damaged_files_are_refused(cache: Path, kind: Cifar):
    drawn(cache / kind.folder, kind)
    path = cache / kind.folder / kind.test[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"is damaged .* is not made of records"):
        open_cifar(kind)
    path.unlink()
    with pytest.raises(DataError, match=r"is damaged .* replace it with the binary version"):
        open_cifar(kind)


def test_labels_without_names_and_archives_without_files_are_refused(cache: Path, kind: Cifar):
    drawn(cache / kind.folder, kind, records=4)
    with pytest.raises(DataError, match="label 3 has no name in"):
        open_cifar(kind)
    with tarfile.open(cache / "empty.tar.gz", "w:gz"):
        pass
    empty = replace(kind, folder="nothing", archive="empty.tar.gz")
    with pytest.raises(DataError, match=r"is damaged .it has no nothing/"):
        open_cifar(empty)


def test_a_download_is_made_only_when_asked_for_and_checked(cache: Path, tmp_path: Path):
    drawn(tmp_path / CIFAR10.folder, CIFAR10)
    away = tmp_path / "away.tar.gz"
    with tarfile.open(away, "w:gz") as archive:
        archive.add(tmp_path / CIFAR10.folder, CIFAR10.folder)
    right = md5(away.read_bytes(), usedforsecurity=False).hexdigest()
    kind = replace(CIFAR10, url=away.as_uri(), md5=right)
    with pytest.raises(DataError, match=r"put cifar-10-binary\.tar\.gz or the folder"):
        open_cifar(kind)
    with pytest.raises(DataError, match="and 00 was expected; try again"):
        open_cifar(replace(kind, md5="00"), download=True)
    with pytest.raises(DataError, match=r"cannot be read .* place the file at"):
        open_cifar(replace(kind, url=(tmp_path / "nowhere").as_uri()), download=True)
    assert not list(cache.iterdir())
    assert len(open_cifar(kind, download=True).splits["train"]) == 15
    assert len(open_cifar(kind).splits["train"]) == 15
