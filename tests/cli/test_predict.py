"""`vertebra predict`: a row for every file, in order, whatever is in it."""

import csv
import io
import json
import os
import shutil

import pytest
from tests.cli.conftest import vertebra

from vertebra.export.optimize import BOUNDS


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_file_gets_a_row_in_the_order_of_its_number(trained, album):
    said = vertebra("predict", trained[0], album / "train/left")
    assert said.code == 0, said.err
    found = rows(said.out)
    assert [row["file"] for row in found] == [
        str(album / f"train/left/{number}.png") for number in range(12)
    ]
    assert {row["class"] for row in found} <= {"left", "middle", "right"}
    assert list(found[0]) == ["file", "class", "probability", "error"]


def test_a_fast_form_that_answers_otherwise_is_told_beside_the_rows(trained, album, monkeypatch):
    wanted = vertebra("predict", trained[0], album / "train")
    monkeypatch.setattr("vertebra.recipes.apply.WORTH_OPTIMIZING", 1)
    monkeypatch.setitem(BOUNDS, "fp32", -1.0)
    said = vertebra("predict", trained[0], album / "train")
    assert (said.code, said.out) == (0, wanted.out)
    assert said.err.startswith("the network computes as it was trained: the fast form's answers")


def test_top_names_the_most_probable_classes_first_and_no_more_than_there_are(trained, album):
    said = vertebra("predict", trained[0], album / "train/left/0.png", "--top=9")
    (row,) = rows(said.out)
    names = ["class", "probability", "class_2", "probability_2", "class_3", "probability_3"]
    assert list(row) == ["file", *names, "error"]
    shares = [float(row[name]) for name in names[1::2]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert {row[name] for name in names[::2]} == {"left", "middle", "right"}


def test_csv_and_json_say_the_same(trained, album, tmp_path):
    image = album / "val/left"
    for name in ("a.json", "a.csv", "b.txt"):
        said = vertebra("predict", trained[0], image, "--top=2", "--out", tmp_path / name)
        assert said == (0, "", f"wrote {tmp_path / name}: 6 files\n")
    found = json.loads((tmp_path / "a.json").read_text("utf-8"))
    flat = [
        {"file": each["file"], "class": each["classes"][0]["class"],
         "class_2": each["classes"][1]["class"]}
        for each in found
    ]  # fmt: skip
    table = rows((tmp_path / "a.csv").read_text("utf-8"))
    assert [{name: row[name] for name in flat[0]} for row in table] == flat
    assert (tmp_path / "b.txt").read_text("utf-8") == (tmp_path / "a.csv").read_text("utf-8")
    printed = vertebra("predict", trained[0], image, "--top=2", "--format=json").out
    assert json.loads(printed) == found


def test_the_answers_are_those_that_evaluation_counted(trained, album):
    figures = json.loads(vertebra("evaluate", trained[0], "--json").out)
    found = rows(vertebra("predict", trained[0], album / "val").out)
    right = sum(f"/val/{row['class']}/" in row["file"] for row in found)
    assert right / 18 == pytest.approx(figures["top1"])


def test_a_file_that_cannot_be_read_keeps_its_row_with_the_reason(trained, album, tmp_path):
    for name in ("1.png", "3.png"):
        shutil.copy(album / "val/left" / name, tmp_path)
    (tmp_path / "2.png").write_bytes(b"")
    said = vertebra("predict", trained[0], tmp_path)
    assert said.code == 2
    assert said.err == "1 of 3 files could not be read; see their rows\n"
    found = rows(said.out)
    assert [row["error"] for row in found] == ["", "the file is empty", ""]
    assert [bool(row["class"]) for row in found] == [True, False, True]
    again = json.loads(vertebra("predict", trained[0], tmp_path, "--format=json").out)
    assert again[1] == {"file": str(tmp_path / "2.png"), "error": "the file is empty"}


def test_a_folder_of_nothing_readable_still_answers(trained, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    said = vertebra("predict", trained[0], tmp_path)
    assert said.code == 2
    assert [row["error"] for row in rows(said.out)] == ["the file is empty"]


def test_a_name_that_is_no_utf_8_is_answered_and_written(trained, album, tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/in/caf\xe9.png")
    (tmp_path / "in").mkdir()
    try:
        shutil.copy(album / "val/left/0.png", name)
    except OSError:
        pytest.skip("this file system takes no such name")
    assert "caf\\udce9.png," in vertebra("predict", trained[0], tmp_path / "in").out
    assert vertebra("predict", trained[0], name, "--out", tmp_path / "p.csv").code == 0
    assert "caf\\udce9.png," in (tmp_path / "p.csv").read_text("utf-8")


@pytest.mark.data
def test_odd_images_each_get_a_class_or_a_reason(trained, packs):
    with (packs / "odd-images/manifest.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["file"]: row["reference_decoder"] for row in csv.DictReader(file)}
    said = vertebra("predict", trained[0], packs / "odd-images/files")
    assert said.code == 2
    found = {row["file"].rsplit("/", 1)[-1]: row for row in rows(said.out)}
    assert found.keys() == expected.keys()
    for name, row in found.items():
        assert bool(row["class"]) is (expected[name] == "decodes") is not bool(row["error"])
