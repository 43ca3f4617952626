"""`vertebra check`: found = used + refused, by split, by class, by file."""

import json
import os
import shutil
import zipfile

import pytest
from tests.cli.conftest import vertebra


def test_a_sound_folder_is_counted_by_split_and_class(album):
    said = vertebra("check", album)
    assert said.code == 0
    assert "train      36     36         0\nval        18     18         0\n" in said.out
    assert "class    train   val\nleft        12     6\nmiddle      12     6\n" in said.out
    assert said.out.endswith(f"Next:\n  vertebra plan {album}\n")


@pytest.fixture
def flawed(album, tmp_path):
    """A copy with a broken file, and a file that stands in both splits."""
    folder = tmp_path / "flawed"
    shutil.copytree(album, folder)
    (folder / "train/left/0.png").write_bytes(b"no picture")
    shutil.copy(folder / "train/right/1.png", folder / "val/right/twin.png")
    return folder


def test_every_refused_file_is_named_with_the_reason_and_the_code_is_2(flawed):
    said = vertebra("check", flawed)
    assert said.code == 2
    assert "train      36     35         1" in said.out
    reason = "no known image format begins with b'no pictu'"
    assert f"refused in train: train/left/0.png: {reason}" in said.out


def test_a_file_in_two_splits_is_named(flawed):
    said = vertebra("check", flawed)
    assert "the same content in two splits:\n  train/right/1.png  val/right/twin.png" in said.out


def test_json_says_the_same(flawed):
    said = vertebra("check", flawed, "--json")
    found = json.loads(said.out)
    assert said.code == 2
    assert found["classes"] == ["left", "middle", "right"]
    train = found["splits"]["train"]
    assert (train["found"], train["used"]) == (36, 35)
    assert [file["name"] for file in train["refused"]] == ["train/left/0.png"]
    assert found["in_two_splits"] == [["train/right/1.png", "val/right/twin.png"]]


def test_an_archive_and_a_manifest_are_checked_like_a_folder(album, tmp_path):
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as archive:
        for file in sorted(album.rglob("*.png")):
            archive.write(file, file.relative_to(album))
    rows = [f"{file},{file.parent.name},{file.parent.parent.name}" for file in album.rglob("*.png")]
    (tmp_path / "album.csv").write_text("\n".join(["path,label,split", *rows]), "utf-8")
    tables = [vertebra("check", each).out.split("Next:")[0]
              for each in (album, tmp_path / "album.zip", tmp_path / "album.csv")]  # fmt: skip
    assert tables[0] == tables[1] == tables[2]


def test_what_stands_beside_the_class_folders_is_told(album, tmp_path):
    shutil.copytree(album, tmp_path / "album")
    (tmp_path / "album/train/notes.txt").write_text("mine")
    said = vertebra("check", tmp_path / "album")
    assert "not used   1 files outside the class folders are not used" in said.out


def test_file_names_of_any_bytes_and_signs_are_told(album, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(album, folder)
    try:
        (folder / os.fsdecode(b"train/left/caf\xe9 [red].png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    said = vertebra("check", folder)
    assert "train/left/caf\\udce9 [red].png: the file is empty" in said.out
    assert json.loads(vertebra("check", folder, "--json").out)["splits"]["train"]["refused"]


@pytest.mark.data
def test_odd_images_are_refused_where_no_decoder_reads_them(packs, tmp_path):
    files = sorted((packs / "odd-images/files").iterdir())
    rows = [f"{file},{'even' if place % 2 else 'odd'}" for place, file in enumerate(files)]
    (tmp_path / "odd.csv").write_text("\n".join(["path,label", *rows]), "utf-8")
    said = vertebra("check", tmp_path / "odd.csv", "--json")
    train = json.loads(said.out)["splits"]["train"]
    assert (said.code, train["found"], train["used"]) == (2, 41, 32)
