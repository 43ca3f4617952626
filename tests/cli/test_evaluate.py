"""`vertebra evaluate`: a run's figures again, or on other data; every image counts."""

import json
import shutil

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.export.optimize import BOUNDS
from vertebra.records import RunDirectory, read_record
from vertebra.report.evaluation import read_evaluation


def test_the_figures_of_a_run_come_again(trained):
    out, _ = trained
    record = read_record(RunDirectory(out))
    said = vertebra("evaluate", out, "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert (found.pop("split"), found.pop("n")) == ("val", 18)
    assert found == pytest.approx(dict(record.figures))


def test_the_table_has_an_interval_and_no_useless_figure(trained):
    said = vertebra("evaluate", trained[0])
    assert "val top-1 accuracy   " in said.out and "95% interval" in said.out
    assert "(18 images)" in said.out and "val loss" in said.out
    assert "top-5" not in said.out  # three classes: always right


def test_a_fast_form_that_answers_otherwise_is_told_beside_the_figures(trained, monkeypatch):
    run, _ = trained
    wanted = vertebra("evaluate", run, "--json")
    monkeypatch.setattr("vertebra.recipes.apply.WORTH_OPTIMIZING", 1)
    monkeypatch.setitem(BOUNDS, "fp32", -1.0)
    said = vertebra("evaluate", run, "--json")
    assert (said.code, said.out) == (0, wanted.out)
    assert said.err.startswith("the network computes as it was trained: the fast form's answers")
    assert vertebra("evaluate", run, "--json", "--no-optimize").err == ""


@pytest.mark.parametrize(("split", "images"), [("train", 33), ("minival", 3), ("val", 18)])
def test_each_split_of_the_run_can_be_judged(trained, split, images):
    found = json.loads(vertebra("evaluate", trained[0], "--split", split, "--json").out)
    assert (found["split"], found["n"]) == (split, images)


def test_other_data_are_matched_by_class_name_not_by_place(trained, album, tmp_path):
    folder = tmp_path / "later"
    shutil.copytree(album / "val/right", folder / "right")
    shutil.copytree(album / "val/middle", folder / "middle")
    said = vertebra("evaluate", trained[0], folder, "--out", tmp_path / "e.json")
    assert said.code == 0, said.err
    assert said.err == f"wrote {tmp_path / 'e.json'}\n"
    found = read_evaluation(tmp_path / "e.json")
    assert (found.split, found.n) == ("train", 12)
    assert list(found.classes) == ["left", "middle", "right"]
    assert [sum(row) for row in found.confusion] == [0, 6, 6]
    own = read_evaluation(RunDirectory(trained[0]).evaluation)
    assert found.confusion[1:] == own.confusion[1:]


def test_only_the_split_that_is_judged_is_read(trained, album, tmp_path):
    shutil.copytree(album, tmp_path / "album")
    (tmp_path / "album/train/left/0.png").write_bytes(b"no picture")
    assert vertebra("evaluate", trained[0], tmp_path / "album", "--split=val").code == 0
    said = vertebra("evaluate", trained[0], tmp_path / "album", "--split=train")
    assert said.code == 2
    assert "1 file cannot be read, the first is train/left/0.png" in said.err


def test_unreadable_files_stop_unless_they_may_be_left_out(trained, album, tmp_path):
    shutil.copytree(album, tmp_path / "album")
    (tmp_path / "album/val/left/0.png").write_bytes(b"no picture")
    said = vertebra("evaluate", trained[0], tmp_path / "album")
    assert (said.code, said.out) == (2, "")
    assert "or leave them out with --skip-unreadable" in said.err
    said = vertebra("evaluate", trained[0], tmp_path / "album", "--skip-unreadable")
    assert said.code == 0
    assert "(17 images)" in said.out
    assert "left out 1 file;" in said.err


def test_a_run_finds_its_images_from_any_folder(album, tmp_path, monkeypatch):
    shutil.copytree(album, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert vertebra("train", "mine", "--out=run", "--set=length=1 step", *TINY).code == 0
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert vertebra("evaluate", "../run").code == 0
