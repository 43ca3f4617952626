"""`vertebra pseudo-label`: a manifest that trains, of what the run is sure of and nothing else."""

import csv
import json
import shutil

import pytest
from tests.cli.conftest import TINY, vertebra

from vertebra.data.sources import open_source


@pytest.fixture(scope="module")
def pool(album, tmp_path_factory):
    """A folder of 18 images in no order, and a file that is none."""
    folder = tmp_path_factory.mktemp("cli") / "pool"
    for place, image in enumerate(sorted(album.glob("val/*/*.png"))):
        (folder / str(place % 2)).mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / str(place % 2) / f"{place}.png")
    return folder


def rows(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_the_manifest_says_what_predict_says_and_trains(trained, pool, tmp_path):
    out = tmp_path / "labels.csv"
    said = vertebra("pseudo-label", trained[0], pool, "--out", out, "--threshold=0")
    assert said.code == 0, said.err
    found = rows(out)
    assert list(found[0]) == ["path", "label", "confidence"]
    answers = json.loads(vertebra("predict", trained[0], pool, "--format=json").out)
    best = {each["file"]: each["classes"][0] for each in answers}
    assert {row["path"]: row["label"] for row in found} == {
        name: each["class"] for name, each in best.items()
    }
    for row in found:
        assert float(row["confidence"]) == pytest.approx(best[row["path"]]["probability"], abs=1e-5)
    assert len(open_source(out).splits["train"]) == 18
    run = tmp_path / "run"
    trains = vertebra("train", out, "--epochs=1", "--out", run, *TINY)
    assert trains.code == 0, trains.err
    assert "columns that are not used: 'confidence'" in trains.out


def test_the_table_counts_and_an_old_manifest_stays(trained, pool, elsewhere):
    said = vertebra("pseudo-label", trained[0], pool)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].split() == ["class", "found", "kept", "mean", "confidence"]
    counts = {cells[0]: cells[1:] for cells in map(str.split, lines[1:4])}
    assert counts.keys() == {"left", "middle", "right"}
    kept = rows(elsewhere / "labels.csv")
    assert sum(int(found) for found, *_ in counts.values()) == 18
    for name, (_, count, mean) in counts.items():
        sure = [float(row["confidence"]) for row in kept if row["label"] == name]
        assert int(count) == len(sure)
        assert not sure or float(mean) == pytest.approx(sum(sure) / len(sure), abs=1e-4)
    assert f"wrote labels.csv: {len(kept)} of 18 images" in said.out
    assert "vertebra train labels.csv" in said.out
    again = vertebra("pseudo-label", trained[0], pool)
    assert again.code == 2
    assert again.err == (
        "error: labels.csv is there already; choose another with --out, or add --overwrite\n"
    )
    assert vertebra("pseudo-label", trained[0], pool, "--overwrite", "--per-class=1").code == 0
    few = rows(elsewhere / "labels.csv")
    assert len(few) == len({row["label"] for row in few})
    for row in few:
        sure = [each["confidence"] for each in kept if each["label"] == row["label"]]
        assert row["confidence"] == max(sure)


def test_only_what_it_is_sure_of_is_kept(trained, pool, tmp_path):
    out = tmp_path / "labels.tsv"
    vertebra("pseudo-label", trained[0], pool, "--out", out, "--threshold=0")
    middle = sorted(float(row["confidence"]) for row in rows(out, "\t"))[9]
    share = f"--threshold={middle}"
    vertebra("pseudo-label", trained[0], pool, "--out", out, "--overwrite", share, "--soft")
    found = rows(out, "\t")
    assert 1 < len(found) <= 10
    for row in found:
        soft = {name: float(row[f"probability of {name}"]) for name in ("left", "middle", "right")}
        assert row["label"] == max(soft, key=soft.__getitem__)
        assert soft[row["label"]] == float(row["confidence"]) >= middle - 1e-6
        assert sum(soft.values()) == pytest.approx(1, abs=1e-5)


def test_paths_below_the_manifest_move_with_it(trained, pool, tmp_path):
    shutil.copytree(pool, tmp_path / "a/pool")
    out = tmp_path / "a/labels.csv"
    flags = ["--out", out, "--threshold=0"]
    assert vertebra("pseudo-label", trained[0], tmp_path / "a/pool", *flags).code == 0
    assert {row["path"][:5] for row in rows(out)} == {"pool/"}
    (tmp_path / "a").rename(tmp_path / "b")
    assert len(open_source(tmp_path / "b/labels.csv").splits["train"]) == 18


def test_a_file_that_cannot_be_read_is_told_and_left_out(trained, pool, tmp_path):
    folder = tmp_path / "pool"
    shutil.copytree(pool, folder)
    (folder / "broken.png").write_bytes(b"")
    shutil.copy(pool / "0/0.png", folder / " a\nb.png")
    flags = ["--out", tmp_path / "labels.csv", "--threshold=0"]
    said = vertebra("pseudo-label", trained[0], folder, *flags)
    assert said.code == 2
    assert f"refused: {folder}/broken.png: the file is empty\n" in said.err
    assert "a manifest cannot hold its name" in said.err
    assert len(rows(tmp_path / "labels.csv")) == 18
    told = json.loads(
        vertebra("pseudo-label", trained[0], folder, *flags, "--overwrite", "--json").out
    )
    assert told["refused"][0]["reason"] == "the file is empty"
    assert sum(each["kept"] for each in told["classes"]) == 18


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--threshold=1.5"], "threshold=1.5; give a probability"),
        (["--per-class=0"], "per_class=0; give at least 1"),
        (["--out=labels.json"], "labels.json is no name of a manifest; end it in .csv or .tsv"),
        (["--threshold=1"], "is sure of none of 18 images to 1 (at most to "),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(trained, pool, elsewhere, flags, message):
    said = vertebra("pseudo-label", trained[0], pool, *flags)
    assert said.code == 2
    assert message in said.err
    assert [*elsewhere.iterdir()] == []


def test_a_place_that_is_no_folder_is_refused(trained, pool, elsewhere):
    del elsewhere
    for place, message in ((pool / "0/0.png", "is a file; give a folder"),
                           (pool / "none", "does not exist; give a folder")):  # fmt: skip
        said = vertebra("pseudo-label", trained[0], place)
        assert (said.code, message in said.err) == (2, True)
    assert "is no run directory" in vertebra("pseudo-label", pool, pool).err
