import shutil
import zipfile
from pathlib import Path

import pytest
from tests.data.album import plant

from vertebra.data.images import Source
from vertebra.data.sources import SHELF, loose, open_source
from vertebra.errors import DataError


def test_every_way_to_give_the_same_images_gives_the_same_images(tmp_path: Path):
    folder = plant(tmp_path / "pets", "a/1.png", "b/1.png", "b/2.png")
    shutil.make_archive(str(folder), "zip", folder)
    shutil.make_archive(str(folder), "tar", folder)
    rows = ["path,label", *(f"pets/{name},{name[0]}" for name in ("a/1.png", "b/1.png", "b/2.png"))]
    (tmp_path / "pets.csv").write_text("\n".join(rows))
    contents = []
    for where in (folder, f"{folder}.zip", f"{folder}.tar", f"{folder}.csv"):
        source = open_source(where)
        assert (source.name, source.classes) == ("pets", ("a", "b"))
        split = source.splits["train"]
        contents.append([split.content(index) for index in range(len(split))])
    assert contents == [contents[0]] * 4


def test_a_missing_path_offers_the_nearest(tmp_path: Path):
    plant(tmp_path, "photos/a/1.png")
    with pytest.raises(DataError, match=r"fotos does not exist; did you mean '.*/photos'\?"):
        open_source(tmp_path / "fotos")
    with pytest.raises(DataError, match=r"digit does not exist; did you mean 'digits'\?"):
        open_source("digit")
    with pytest.raises(DataError, match="give a path, or one of cifar10, cifar100, digits"):
        open_source(tmp_path / "no" / "such")


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path):
    (tmp_path / "model.bin").write_text("")
    with pytest.raises(DataError, match=r"give a folder, or a file that ends in one of \.zip"):
        open_source(tmp_path / "model.bin")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(DataError, match="holds no files"):
        open_source(tmp_path / "empty.zip")


@pytest.mark.parametrize("name", SHELF)
def test_named_data_is_there_or_says_what_to_place_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VERTEBRA_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    try:
        assert isinstance(open_source(name), Source)
    except DataError as error:
        assert f"put {name[:5]}-{name[5:]}-binary.tar.gz" in str(error)
        assert str(tmp_path) in str(error)


def test_loose_files_and_folders_become_images_without_classes(tmp_path: Path):
    plant(tmp_path, "b10.png", "in/2.png", "in/10.png", "in/.hidden")
    split = loose([tmp_path / "b10.png", str(tmp_path / "in")])
    assert [Path(name).name for name in split.names] == ["b10.png", "2.png", "10.png"]
    assert split.classes == ()
    assert split.open(2, 1).size == (8, 8)
    with pytest.raises(DataError, match=r"in/3\.png does not exist; did you mean"):
        loose([tmp_path / "in/3.png"])
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no files; give images"):
        loose([tmp_path / "none"])


def test_labels_follow_the_names_of_a_model(tmp_path: Path):
    source = open_source(plant(tmp_path, "a/1.png", "b/1.png", "b/2.png"))
    split = source.splits["train"].relabel(("b", "x", "a"))
    assert split.classes == ("b", "x", "a")
    assert split.labels.tolist() == [2, 0, 0]
    with pytest.raises(DataError, match=r"classes 'b' that the model does not have .it has 'a'"):
        source.splits["train"].relabel(("a",))
