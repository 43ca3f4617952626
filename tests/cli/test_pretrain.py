"""`vertebra pretrain`: with labels and without, and what such a run is then good for."""

import json
import shutil

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.recipes.shelf import load
from vertebra.records import RunDirectory, read_record

QUICK = [*TINY, "--epochs=2", "--set=method.hidden=16", "--set=method.projection=8"]


@pytest.fixture(scope="module")
def flat(album, tmp_path_factory):
    """The images of the album in one folder, without their classes."""
    folder = tmp_path_factory.mktemp("cli") / "flat"
    folder.mkdir()
    for number, file in enumerate(sorted(album.rglob("*.png"))):
        shutil.copy(file, folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def unlabelled(flat, tmp_path_factory):
    """A run on images without classes, and what was said."""
    out = tmp_path_factory.mktemp("cli") / "unlabelled"
    said = vertebra("pretrain", flat, "--out", out, *QUICK)
    assert said.code == 0, said.err
    return out, said


@pytest.fixture(scope="module")
def labelled(album, tmp_path_factory):
    """A run on images with classes, and what was said."""
    out = tmp_path_factory.mktemp("cli") / "labelled"
    said = vertebra("pretrain", album, "--method=simclr", "--out", out, *QUICK)
    assert said.code == 0, said.err
    return out, said


def test_without_labels_it_reports_how_much_the_vectors_differ(unlabelled, flat):
    out, said = unlabelled
    assert "classes   none" in said.out
    assert "recipe      byol-small (Bootstrap Your Own Latent (2020)" in said.out
    record = read_record(RunDirectory(out))
    assert [*record.figures] == ["spread", "rank"]
    assert 0 <= record.figures["spread"] <= 1 <= record.figures["rank"]
    assert f"test spread        {record.figures['spread']:.4g}" in said.out
    assert said.out.splitlines()[-3:] == [
        "Next:",
        f"  vertebra probe {out} DATA",
        f"  vertebra train DATA --weights {out}",
    ]
    assert said.err == ""


def test_the_page_of_such_a_run_names_what_can_be_done_with_it(unlabelled):
    page = (unlabelled[0] / "report.html").read_text()
    assert "Spread of the vectors" in page
    assert f"vertebra train DATA --weights {unlabelled[0]}" in page
    assert "vertebra predict" not in page


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "RUN"],
        ["evaluate", "RUN", "ALBUM"],
        ["predict", "RUN", "ALBUM"],
        ["surgery", "norm", "RUN", "--out", "OUT"],
    ],
)
def test_a_run_that_knows_no_classes_says_so_and_what_to_do(command, unlabelled, album, tmp_path):
    places = {"RUN": unlabelled[0], "ALBUM": album, "OUT": tmp_path / "out"}
    said = vertebra(*(places.get(word, word) for word in command))
    assert said.code == 2
    assert said.out == ""
    assert "the run knows no classes" in said.err
    assert "vertebra probe RUN DATA" in said.err
    assert "vertebra train DATA --weights RUN" in said.err


def test_a_run_that_knows_no_classes_is_not_published(unlabelled, tmp_path):
    out = tmp_path / "published"
    said = vertebra("hub", "push", unlabelled[0], "me/it", "--licence=mit", "--dry-run", out)
    assert said.code == 2
    assert f"{unlabelled[0]} knows no classes" in said.err
    assert not out.exists()


def test_training_with_labels_starts_from_it_with_a_fresh_head(unlabelled, album, tmp_path):
    out = tmp_path / "run"
    said = vertebra(
        "train", album, "--weights", unlabelled[0], "--epochs=1", "--out", out, *TINY[:3]
    )
    assert said.code == 0, said.err
    assert "with a fresh head, as it knows no classes" in said.out
    assert load(out).model == load(unlabelled[0]).model
    assert json.loads((out / "classes.json").read_text()) == ["left", "middle", "right"]
    assert "top1" in read_record(RunDirectory(out)).figures


def test_pretraining_goes_on_from_it(unlabelled, flat, tmp_path):
    out = tmp_path / "run"
    said = vertebra("pretrain", flat, "--weights", unlabelled[0], "--out", out, *QUICK)
    assert said.code == 0, said.err
    assert "byol-small (Bootstrap" in said.out
    assert f"starts from {unlabelled[0]}" in said.out


def test_with_labels_it_reports_a_probe_beside_the_backbone(labelled, album):
    out, said = labelled
    record = read_record(RunDirectory(out))
    assert "recipe      simclr-small (A Simple Framework" in said.out
    assert f"val top-1 accuracy         {record.figures['top1']:.2%}" in said.out
    assert said.out.splitlines()[-2:] == [
        f"  vertebra probe {out} {album}",
        f"  vertebra train {album} --weights {out}",
    ]
    assert {"simclr", "probe", "spread"} == {
        part
        for line in (out / "metrics.jsonl").read_text().splitlines()
        for part in json.loads(line).get("parts", ())
    }


def test_what_the_probe_has_learnt_can_be_used(labelled, album):
    assert vertebra("evaluate", labelled[0]).code == 0
    said = vertebra("predict", labelled[0], album / "val" / "left")
    assert said.code == 0 and said.out.count("\n") == 7


def test_any_recipe_pretrains_by_byol_and_one_that_does_so_already_as_it_says(album, tmp_path):
    common = [album, "--set=length=1 steps", "--set=schedule.warmup=0 steps", *TINY]
    for number, (recipe, method) in enumerate((("small", "BYOL"), ("simclr-small", "SimCLR"))):
        out = tmp_path / str(number)
        said = vertebra("pretrain", *common, "--recipe", recipe, "--out", out)
        assert said.code == 0, said.err
        assert type(load(out).phases[0].method).__name__ == f"{method}Spec"


@pytest.mark.parametrize("method", ["byol", "simclr"])
def test_training_takes_the_methods_too(method, album, tmp_path):
    said = vertebra(
        "train", album, "--method", method, "--epochs=0.1", "--out", tmp_path / "run", *QUICK
    )
    assert said.code == 0, said.err
    assert f"method: {method}, on two versions of each image, without labels" in said.out


def test_training_on_images_without_classes_points_here(flat):
    said = vertebra("train", flat)
    assert said.code == 2
    assert "learn without classes with `vertebra pretrain`" in said.err


def test_a_teacher_and_other_images_are_refused(flat, trained):
    for flag, value in (("--teacher", trained[0]), ("--unlabelled", flat), ("--from", flat)):
        said = vertebra("pretrain", flat, flag, value)
        assert said.code == 2
        assert f"{flag} is of no use to the method byol; leave it out" in said.err


def test_another_method_is_refused(flat):
    assert vertebra("pretrain", flat, "--method=cosub").code == 2
